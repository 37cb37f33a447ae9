//! Reading a filter, clause by clause.

use std::fmt::Display;

use serde_json::{Map, Value};
use siamese_index::{Comparison, Condition, FieldPath, Filter, Scalar, Timestamp};

use super::check_text_bytes;
use crate::config::Limits;
use crate::error::ApiError;
use crate::extract::pointer_token;

const OPERATORS: &str =
    "$eq, $ne, $in, $nin, $gt, $gte, $lt, $lte, $exists, $contains, $prefix, $not";

/// The key of a value that stands for a moment, not for a string.
const DATE: &str = "$date";

/// Characters of a text that is no date that are repeated in the error.
const MAX_SHOWN_DATE_CHARS: usize = 40;

/// What a condition compares with.
enum Operand {
    Value(Scalar),
    Moment(Timestamp),
}

/// Reads one filter and counts its parts.
pub(super) struct FilterReader<'a> {
    limits: &'a Limits,
    clauses: usize,
    values: usize,
}

impl<'a> FilterReader<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            clauses: 0,
            values: 0,
        }
    }

    /// Reads what stands at `pointer`, which is `depth` filters deep.
    ///
    /// # Errors
    /// As [`super::FilterShape::read`], and 422 for an empty one.
    pub(super) fn filter(
        &mut self,
        object: &Map<String, Value>,
        pointer: &str,
        depth: usize,
    ) -> Result<Filter, ApiError> {
        self.check_depth(pointer, depth)?;
        if object.is_empty() {
            return Err(ApiError::invalid(
                pointer,
                "a filter is empty; give it a condition",
            ));
        }
        let read = |(key, value): (&String, &Value)| {
            let pointer = below(pointer, key);
            self.clause(key, value, &pointer, depth)
        };
        object.iter().map(read).collect::<Result<_, _>>().map(all)
    }

    fn clause(
        &mut self,
        key: &str,
        value: &Value,
        pointer: &str,
        depth: usize,
    ) -> Result<Filter, ApiError> {
        match key {
            "$and" => self.filters(value, pointer, depth).map(all),
            "$or" => self.filters(value, pointer, depth).map(Filter::Any),
            "$not" => {
                self.count_clause(pointer)?;
                let filter = self.filter(object(key, value, pointer)?, pointer, depth + 1)?;
                Ok(Filter::Not(Box::new(filter)))
            }
            _ if key.starts_with('$') => Err(ApiError::invalid(
                pointer,
                format!(
                    "{key:?} does not stand here; a field, $and, $or or $not does, and \
                     a field that begins with a dollar sign is written \\$"
                ),
            )),
            _ => self.field(key, value, pointer, depth),
        }
    }

    fn filters(
        &mut self,
        value: &Value,
        pointer: &str,
        depth: usize,
    ) -> Result<Vec<Filter>, ApiError> {
        self.count_clause(pointer)?;
        let filters = value.as_array().filter(|filters| !filters.is_empty());
        let filters = filters.ok_or_else(|| {
            ApiError::invalid(pointer, "a list of filters, with at least one, stands here")
        })?;
        let read = |(place, filter)| {
            let pointer = below(pointer, place);
            self.filter(
                object("a list of filters", filter, &pointer)?,
                &pointer,
                depth + 1,
            )
        };
        filters.iter().enumerate().map(read).collect()
    }

    fn field(
        &mut self,
        path: &str,
        value: &Value,
        pointer: &str,
        depth: usize,
    ) -> Result<Filter, ApiError> {
        self.check_text(path, pointer)?;
        let path = FieldPath::parse(path)
            .map_err(|error| ApiError::invalid(pointer, error.to_string()))?;
        match value {
            Value::Object(object) if object.contains_key(DATE) => {
                self.count_clause(pointer)?;
                Ok(Filter::Field(path, self.equal(value, pointer)?))
            }
            Value::Object(conditions) => self.conditions(&path, conditions, pointer, depth),
            Value::Array(_) => Err(ApiError::invalid(
                pointer,
                "an array is no condition; $in takes a list of values of which one must be there",
            )),
            value => {
                self.count_clause(pointer)?;
                Ok(Filter::Field(path, self.equal(value, pointer)?))
            }
        }
    }

    /// Conditions on one field, all of which must be met.
    fn conditions(
        &mut self,
        path: &FieldPath,
        conditions: &Map<String, Value>,
        pointer: &str,
        depth: usize,
    ) -> Result<Filter, ApiError> {
        self.check_depth(pointer, depth)?;
        if conditions.is_empty() {
            return Err(ApiError::invalid(
                pointer,
                format!("a condition is missing; the operators are {OPERATORS}"),
            ));
        }
        let read = |(operator, operand): (&String, &Value)| {
            let pointer = below(pointer, operator);
            self.condition(path, operator, operand, &pointer, depth)
        };
        conditions
            .iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map(all)
    }

    fn condition(
        &mut self,
        path: &FieldPath,
        operator: &str,
        operand: &Value,
        pointer: &str,
        depth: usize,
    ) -> Result<Filter, ApiError> {
        self.count_clause(pointer)?;
        let (condition, is_negated) = match operator {
            "$eq" => (self.equal(operand, pointer)?, false),
            "$ne" => (self.equal(operand, pointer)?, true),
            "$in" => return self.one_of(path, operand, pointer),
            "$nin" => {
                let one_of = self.one_of(path, operand, pointer)?;
                return Ok(Filter::Not(Box::new(one_of)));
            }
            "$gt" => (self.compares(Comparison::Greater, operand, pointer)?, false),
            "$gte" => (self.compares(Comparison::AtLeast, operand, pointer)?, false),
            "$lt" => (self.compares(Comparison::Less, operand, pointer)?, false),
            "$lte" => (self.compares(Comparison::AtMost, operand, pointer)?, false),
            "$contains" => (Condition::Contains(self.scalar(operand, pointer)?), false),
            "$prefix" => (self.prefix(operand, pointer)?, false),
            "$exists" => match operand.as_bool() {
                Some(exists) => (Condition::Exists, !exists),
                None => return Err(ApiError::invalid(pointer, "$exists takes true or false")),
            },
            "$not" => {
                let conditions = object(operator, operand, pointer)?;
                let inner = self.conditions(path, conditions, pointer, depth + 1)?;
                return Ok(Filter::Not(Box::new(inner)));
            }
            _ => return Err(unknown_operator(path, operator, pointer)),
        };
        let filter = Filter::Field(path.clone(), condition);
        Ok(if is_negated {
            Filter::Not(Box::new(filter))
        } else {
            filter
        })
    }

    fn equal(&self, operand: &Value, pointer: &str) -> Result<Condition, ApiError> {
        Ok(match self.operand(operand, pointer)? {
            Operand::Value(value) => Condition::one_of([value]),
            Operand::Moment(moment) => Condition::one_of_moments([moment]),
        })
    }

    fn one_of(
        &mut self,
        path: &FieldPath,
        operand: &Value,
        pointer: &str,
    ) -> Result<Filter, ApiError> {
        let values = operand.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| {
            ApiError::invalid(pointer, "a list of values, with at least one, stands here")
        })?;
        self.values += values.len();
        let max = self.limits.max_filter_values;
        if self.values > max {
            let detail = format!(
                "the lists of the filter have {} values up to here, over limits.max_filter_values \
                 = {max}",
                self.values
            );
            return Err(ApiError::invalid(pointer, detail));
        }
        let (mut scalars, mut moments) = (Vec::new(), Vec::new());
        for (place, value) in values.iter().enumerate() {
            match self.operand(value, &below(pointer, place))? {
                Operand::Value(value) => scalars.push(value),
                Operand::Moment(moment) => moments.push(moment),
            }
        }
        let field = |condition| Filter::Field(path.clone(), condition);
        Ok(match (scalars.is_empty(), moments.is_empty()) {
            (_, true) => field(Condition::one_of(scalars)),
            (true, false) => field(Condition::one_of_moments(moments)),
            (false, false) => Filter::Any(vec![
                field(Condition::one_of(scalars)),
                field(Condition::one_of_moments(moments)),
            ]),
        })
    }

    fn compares(
        &self,
        comparison: Comparison,
        operand: &Value,
        pointer: &str,
    ) -> Result<Condition, ApiError> {
        match self.operand(operand, pointer)? {
            Operand::Value(limit @ (Scalar::Number(_) | Scalar::Text(_))) => {
                Ok(Condition::Compares(comparison, limit))
            }
            Operand::Moment(limit) => Ok(Condition::ComparesMoment(comparison, limit)),
            Operand::Value(Scalar::Null | Scalar::Bool(_)) => Err(ApiError::invalid(
                pointer,
                "numbers, strings and dates have an order; null, true and false have none",
            )),
        }
    }

    fn prefix(&self, operand: &Value, pointer: &str) -> Result<Condition, ApiError> {
        let text = operand.as_str();
        let text = text.ok_or_else(|| ApiError::invalid(pointer, "$prefix takes a string"))?;
        self.check_text(text, pointer)?;
        Ok(Condition::Prefix(text.to_owned()))
    }

    /// A value, or `{"$date": ..}`.
    fn operand(&self, value: &Value, pointer: &str) -> Result<Operand, ApiError> {
        let date = value
            .as_object()
            .and_then(|object| Some((object, object.get(DATE)?)));
        let Some((object, date)) = date else {
            return self.scalar(value, pointer).map(Operand::Value);
        };
        if let Some(other) = object.keys().find(|key| *key != DATE) {
            let detail = format!("{DATE} stands alone in its object; nothing may stand beside it");
            return Err(ApiError::invalid(below(pointer, other), detail));
        }
        let pointer = below(pointer, DATE);
        let Some(text) = date.as_str() else {
            return Err(ApiError::invalid(pointer, "$date takes a string"));
        };
        self.check_text(text, &pointer)?;
        let moment = Timestamp::parse(text);
        let moment = moment.map_err(|error| {
            let shown: String = text.chars().take(MAX_SHOWN_DATE_CHARS).collect();
            ApiError::invalid(pointer, format!("{shown:?} is {error}"))
        })?;
        Ok(Operand::Moment(moment))
    }

    fn scalar(&self, value: &Value, pointer: &str) -> Result<Scalar, ApiError> {
        if let Value::String(text) = value {
            self.check_text(text, pointer)?;
        }
        Scalar::of(value).ok_or_else(|| {
            ApiError::invalid(
                pointer,
                "a string, a number, true, false or null stands here, or a date where values are \
                 compared; arrays and other objects are not compared as a whole",
            )
        })
    }

    fn count_clause(&mut self, pointer: &str) -> Result<(), ApiError> {
        self.clauses += 1;
        let max = self.limits.max_filter_clauses;
        if self.clauses <= max {
            return Ok(());
        }
        let detail = format!(
            "the filter has more clauses than limits.max_filter_clauses = {max}; $in takes many \
             values in one"
        );
        Err(ApiError::invalid(pointer, detail))
    }

    fn check_depth(&self, pointer: &str, depth: usize) -> Result<(), ApiError> {
        let max = self.limits.max_filter_depth;
        if depth <= max {
            return Ok(());
        }
        let detail = format!("the filter is nested deeper than limits.max_filter_depth = {max}");
        Err(ApiError::invalid(pointer, detail))
    }

    fn check_text(&self, text: &str, pointer: &str) -> Result<(), ApiError> {
        check_text_bytes(text, self.limits.max_filter_text_bytes, pointer)
    }
}

/// One filter for several; a single one stands for itself.
fn all(filters: Vec<Filter>) -> Filter {
    match <[Filter; 1]>::try_from(filters) {
        Ok([filter]) => filter,
        Err(filters) => Filter::All(filters),
    }
}

fn below(pointer: &str, key: impl Display) -> String {
    format!("{pointer}/{}", pointer_token(&key.to_string()))
}

fn object<'a>(
    operator: &str,
    value: &'a Value,
    pointer: &str,
) -> Result<&'a Map<String, Value>, ApiError> {
    value
        .as_object()
        .ok_or_else(|| ApiError::invalid(pointer, format!("{operator} takes an object here")))
}

fn unknown_operator(path: &FieldPath, operator: &str, pointer: &str) -> ApiError {
    let detail = if operator.starts_with('$') {
        format!("there is no operator {operator:?}; the operators are {OPERATORS}")
    } else {
        format!(
            "{operator:?} is no operator; the field in the field is written {:?}",
            format!("{path}.{operator}")
        )
    };
    ApiError::invalid(pointer, detail)
}
