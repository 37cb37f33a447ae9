//! Filters on the wire. `docs/filters.md` says what they mean.

use std::fmt::Display;

use serde::Deserialize;
use serde_json::{Map, Value};
use siamese_index::{Comparison, Condition, FieldPath, Filter, Scalar, Timestamp};
use utoipa::ToSchema;

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

/// Conditions on metadata: fields with what they must meet, and `$and`, `$or`, `$not`. An empty
/// one lets everything pass.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(
    title = "Filter",
    value_type = Object,
    example = json!({"status": "open", "year": {"$gte": 2020}, "lang": {"$in": ["en", "de"]}})
)]
pub(crate) struct FilterShape(Map<String, Value>);

impl FilterShape {
    /// Reads the filter that stands at `pointer` in the body.
    ///
    /// # Errors
    /// 422 with a pointer to the operator or value that does not fit, or that is over a limit.
    pub(crate) fn read(&self, limits: &Limits, pointer: &str) -> Result<Filter, ApiError> {
        let mut reader = FilterReader {
            limits,
            clauses: 0,
            values: 0,
        };
        if self.0.is_empty() {
            return Ok(Filter::All(Vec::new()));
        }
        reader.filter(&self.0, pointer, 1)
    }
}

/// Reads one filter and counts its parts.
struct FilterReader<'a> {
    limits: &'a Limits,
    clauses: usize,
    values: usize,
}

impl FilterReader<'_> {
    fn filter(
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

/// Refuses a path or a value that is too long.
pub(super) fn check_text_bytes(text: &str, max: usize, pointer: &str) -> Result<(), ApiError> {
    if text.len() <= max {
        return Ok(());
    }
    let detail = format!(
        "the string has {} bytes, over limits.max_filter_text_bytes = {max}",
        text.len()
    );
    Err(ApiError::invalid(pointer, detail))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};
    use serde_json::json;

    fn read(filter: Value) -> Result<Filter, (String, String)> {
        let limits = Settings::load(&Overrides::default()).unwrap().limits;
        let shape: FilterShape = serde_json::from_value(filter).unwrap();
        shape.read(&limits, "/filter").map_err(|error| {
            let problem = error.problem(None);
            (problem.pointer.unwrap(), problem.detail)
        })
    }

    #[track_caller]
    fn passes(filter: Value, metadata: Value) -> bool {
        let metadata = serde_json::from_value(metadata).unwrap();
        read(filter).unwrap().matches(&metadata)
    }

    #[track_caller]
    fn refused(filter: Value, pointer: &str) -> String {
        let (place, detail) = read(filter).unwrap_err();
        assert_eq!(place, pointer, "{detail}");
        detail
    }

    #[test]
    fn every_operator_does_what_its_name_says() {
        for (condition, passing, failing) in [
            (json!(1), json!(1.0), json!(2)),
            (json!(null), json!(null), json!(0)),
            (json!({"$eq": "x"}), json!(["x"]), json!("xy")),
            (json!({"$ne": "x"}), json!("y"), json!(["x", "y"])),
            (json!({"$in": [1, "a"]}), json!("a"), json!("1")),
            (json!({"$nin": [1, "a"]}), json!("1"), json!([2, 1])),
            (json!({"$gt": 5}), json!(5.5), json!(5)),
            (json!({"$gte": 5}), json!(5), json!(4)),
            (json!({"$lt": "b"}), json!("a"), json!("b")),
            (json!({"$lte": "b"}), json!("b"), json!("ba")),
            (json!({"$gt": 1, "$lt": 3}), json!(2), json!(3)),
            (json!({"$contains": "or"}), json!("word"), json!(["word"])),
            (json!({"$contains": "or"}), json!(["or"]), json!("Or")),
            (json!({"$prefix": "wo"}), json!("word"), json!("sword")),
            (json!({"$not": {"$prefix": "wo"}}), json!(1), json!("word")),
        ] {
            let filter = json!({"f": condition});
            assert!(passes(filter.clone(), json!({"f": passing})), "{filter}");
            assert!(!passes(filter.clone(), json!({"f": failing})), "{filter}");
        }
    }

    #[test]
    fn dates_compare_as_moments_whatever_their_spelling() {
        let date = json!({"$date": "2024-05-01T12:00:00+02:00"});
        let same = [
            "2024-05-01T10:00:00Z",
            "2024-05-01T10:00:00.000",
            "2024-05-01 03:00:00-0700",
        ];
        let other = [
            json!("2024-05-01T12:00:00Z"),
            json!("2024-05-01"),
            json!(1_714_557_600),
            json!("x"),
        ];
        for condition in [
            date.clone(),
            json!({"$eq": date}),
            json!({"$in": [date]}),
            json!({"$in": ["y", date]}),
            json!({"$gte": date, "$lte": date}),
            json!({"$not": {"$ne": date}}),
            json!({"$not": {"$nin": [date, 7]}}),
        ] {
            let filter = json!({"f": condition});
            for value in same {
                assert!(
                    passes(filter.clone(), json!({"f": value})),
                    "{filter} {value}"
                );
                assert!(
                    passes(filter.clone(), json!({"f": ["x", value]})),
                    "{filter} {value}"
                );
            }
            for value in &other {
                assert!(
                    !passes(filter.clone(), json!({"f": value})),
                    "{filter} {value}"
                );
            }
        }
        let since = json!({"f": {"$gt": date, "$lt": {"$date": "2024-05-02"}}});
        assert!(passes(
            since.clone(),
            json!({"f": "2024-05-02T01:00:00+02:00"})
        ));
        assert!(!passes(since, json!({"f": "2024-05-02T00:00:00"})));
        assert!(
            passes(
                json!({"f": {"$gte": "2024-05-01"}}),
                json!({"f": "2024-05-01T"})
            ),
            "strings stay strings"
        );
    }

    #[test]
    fn what_is_no_date_is_refused_where_it_stands() {
        let detail = refused(
            json!({"f": {"$gte": {"$date": "2024-13-01"}}}),
            "/filter/f/$gte/$date",
        );
        assert!(
            detail.contains("2024-13-01") && detail.contains("+02:00"),
            "{detail}"
        );
        refused(json!({"f": {"$date": 1}}), "/filter/f/$date");
        refused(
            json!({"f": {"$in": ["a", {"$date": null}]}}),
            "/filter/f/$in/1/$date",
        );
        refused(
            json!({"f": {"$date": "2024-05-01", "$gt": 1}}),
            "/filter/f/$gt",
        );
        refused(
            json!({"f": {"$eq": {"$date": "2024-05-01", "x": 1}}}),
            "/filter/f/$eq/x",
        );
        refused(
            json!({"f": {"$prefix": {"$date": "2024-05-01"}}}),
            "/filter/f/$prefix",
        );
        refused(
            json!({"f": {"$contains": {"$date": "2024-05-01"}}}),
            "/filter/f/$contains",
        );
        refused(json!({"$date": "2024-05-01"}), "/filter/$date");
        refused(json!({"f": {"$date": "2".repeat(5000)}}), "/filter/f/$date");
    }

    #[test]
    fn negated_operators_pass_documents_without_the_field() {
        for condition in [
            json!({"$ne": 1}),
            json!({"$nin": [1]}),
            json!({"$exists": false}),
            json!({"$not": {"$gt": 1}}),
        ] {
            assert!(passes(json!({"f": condition}), json!({})), "{condition}");
        }
        assert!(!passes(json!({"f": {"$exists": true}}), json!({})));
        assert!(!passes(json!({"f": {"$lt": 1}}), json!({})));
    }

    #[test]
    fn several_fields_mean_and_and_operators_combine() {
        let both = json!({"a": 1, "b.c": 2});
        assert!(passes(both.clone(), json!({"a": 1, "b": {"c": 2}})));
        assert!(!passes(both, json!({"a": 1, "b": {"c": 3}})));
        let either = json!({"$or": [{"a": 1}, {"$and": [{"b": 2}, {"$not": {"c": 3}}]}]});
        assert!(passes(either.clone(), json!({"b": 2})));
        assert!(!passes(either, json!({"b": 2, "c": 3})));
        assert!(passes(json!({}), json!({})));
        assert!(passes(json!({r"\$a\.b": 1}), json!({"$a.b": 1})));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let detail = refused(json!({"a": {"$regex": "x"}}), "/filter/a/$regex");
        assert!(detail.contains("$prefix"), "{detail}");
        let detail = refused(json!({"a": {"b": 1}}), "/filter/a/b");
        assert!(detail.contains("\"a.b\""), "{detail}");
        refused(json!({"$nor": []}), "/filter/$nor");
        refused(json!({"$and": []}), "/filter/$and");
        refused(json!({"$and": {"a": 1}}), "/filter/$and");
        refused(json!({"$or": [{"a": 1}, 7]}), "/filter/$or/1");
        refused(json!({"$or": [{"a": 1}, {}]}), "/filter/$or/1");
        refused(json!({"$not": {}}), "/filter/$not");
        refused(json!({"$not": 1}), "/filter/$not");
        refused(json!({"a": {}}), "/filter/a");
        refused(json!({"a": [1]}), "/filter/a");
        refused(json!({"a/b~c": {"$in": []}}), "/filter/a~1b~0c/$in");
        refused(json!({"a": {"$in": "x"}}), "/filter/a/$in");
        refused(json!({"a": {"$nin": [1, [2]]}}), "/filter/a/$nin/1");
        refused(json!({"a": {"$gt": null}}), "/filter/a/$gt");
        refused(json!({"a": {"$lte": true}}), "/filter/a/$lte");
        refused(json!({"a": {"$lt": [1]}}), "/filter/a/$lt");
        refused(json!({"a": {"$exists": 1}}), "/filter/a/$exists");
        refused(json!({"a": {"$prefix": 1}}), "/filter/a/$prefix");
        refused(json!({"a": {"$contains": {}}}), "/filter/a/$contains");
        refused(json!({"a": {"$eq": {"b": 1}}}), "/filter/a/$eq");
        refused(json!({r"a\x": 1}), r"/filter/a\x");
    }

    #[test]
    fn limits_hold_at_the_edge_and_are_named_over_it() {
        let nested = |depth| (1..depth).fold(json!({"a": 1}), |inner, _| json!({"$not": inner}));
        assert!(read(nested(16)).is_ok());
        let (pointer, detail) = read(nested(17)).unwrap_err();
        assert_eq!(pointer, format!("/filter{}", "/$not".repeat(16)));
        assert!(detail.contains("limits.max_filter_depth = 16"), "{detail}");
        let inner = (1..17).fold(json!({"$eq": 1}), |inner, _| json!({"$not": inner}));
        assert!(read(json!({"a": inner})).is_err());

        let wide = |clauses: usize| json!({"$or": vec![json!({"a": 1}); clauses - 1]});
        assert!(read(wide(256)).is_ok());
        let detail = refused(wide(257), "/filter/$or/255/a");
        assert!(
            detail.contains("limits.max_filter_clauses = 256"),
            "{detail}"
        );

        let values = |count: usize| json!({"a": {"$in": (0..count).collect::<Vec<_>>()}});
        assert!(read(values(10_000)).is_ok());
        let detail = refused(values(10_001), "/filter/a/$in");
        assert!(
            detail.contains("limits.max_filter_values = 10000"),
            "{detail}"
        );

        assert!(read(json!({"a": "x".repeat(4096)})).is_ok());
        let detail = refused(json!({"a": "x".repeat(4097)}), "/filter/a");
        assert!(
            detail.contains("limits.max_filter_text_bytes = 4096"),
            "{detail}"
        );
    }
}
