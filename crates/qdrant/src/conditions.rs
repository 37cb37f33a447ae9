//! Filters as conditions on the [`terms`] of points.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{
    Condition, FieldCondition, Filter as PointFilter, HasIdCondition, Match, Range, RepeatedStrings,
};
use siamese_index::{
    Comparison, Condition as FieldCondition_, Error, FieldPath, Filter, Scalar, Timestamp,
};
use uuid::Uuid;

use crate::error::not_supported;
use crate::ids;
use crate::terms::{self, TermList};

const COMPARING_TEXTS: &str = "comparing strings by their order in a filter (`$gt`, `$gte`, `$lt` and `$lte` with a string that is no date)";
const PARTS_OF_TEXTS: &str = "finding a part of a string in a filter (`$contains` with a string)";
const PREFIXES: &str = "finding the beginning of a string in a filter (`$prefix`)";
const LARGE_NUMBERS: &str = "comparing with a number of 2^53 or more in a filter";
const PARTS_OF_SECONDS: &str = "comparing with a part of a second in a filter";

/// A condition, and the lists that it looks at.
pub(crate) struct Conditions {
    pub(crate) filter: PointFilter,
    pub(crate) fields: Vec<(TermList, String)>,
}

impl Conditions {
    /// # Errors
    /// [`Error::NotSupportedHere`].
    pub(crate) fn of(filter: &Filter) -> Result<Self, Error> {
        let mut fields = Vec::new();
        let filter = of_filter(filter, &mut fields)?;
        Ok(Self { filter, fields })
    }
}

fn of_filter(filter: &Filter, fields: &mut Vec<(TermList, String)>) -> Result<PointFilter, Error> {
    let mut all = |filters: &[Filter]| {
        let conditions = filters
            .iter()
            .map(|filter| Ok(nested(of_filter(filter, fields)?)));
        conditions.collect::<Result<Vec<_>, Error>>()
    };
    Ok(match filter {
        Filter::All(filters) => PointFilter::must(all(filters)?),
        // Of no conditions at all Qdrant says that they are met.
        Filter::Any(filters) if filters.is_empty() => never(),
        Filter::Any(filters) => PointFilter::should(all(filters)?),
        Filter::Not(filter) => PointFilter::must_not([nested(of_filter(filter, fields)?)]),
        Filter::Field(path, condition) => of_field(path, condition, fields)?,
    })
}

fn of_field(
    path: &FieldPath,
    condition: &FieldCondition_,
    fields: &mut Vec<(TermList, String)>,
) -> Result<PointFilter, Error> {
    let path = path.to_string();
    let mut field = |list: TermList| {
        let field = list.field(&path);
        fields.push((list, field.clone()));
        field
    };
    Ok(match condition {
        FieldCondition_::Exists => is_any(field(TermList::Values), vec![terms::EXISTS.to_owned()]),
        FieldCondition_::OneOf(values) => is_any(
            field(TermList::Values),
            values.iter().map(terms::equal).collect(),
        ),
        FieldCondition_::Contains(Scalar::Text(_)) => return Err(not_supported(PARTS_OF_TEXTS)),
        FieldCondition_::Contains(value) => {
            is_any(field(TermList::Values), vec![terms::element(value)])
        }
        FieldCondition_::Prefix(_) => return Err(not_supported(PREFIXES)),
        FieldCondition_::Compares(comparison, Scalar::Number(limit)) => {
            let limit = terms::comparable(limit).ok_or_else(|| not_supported(LARGE_NUMBERS))?;
            in_range(field(TermList::Numbers), range(*comparison, limit))
        }
        FieldCondition_::Compares(_, Scalar::Text(_)) => {
            return Err(not_supported(COMPARING_TEXTS));
        }
        FieldCondition_::Compares(_, Scalar::Null | Scalar::Bool(_)) => never(),
        FieldCondition_::AtOneOf(moments) => {
            let field = field(TermList::Moments);
            let ranges = moments.iter().map(|moment| {
                let at = comparable(*moment)?;
                let range = Range {
                    gte: Some(at),
                    lte: Some(at),
                    ..Range::default()
                };
                Ok(nested(in_range(field.clone(), range)))
            });
            match moments.is_empty() {
                true => never(),
                false => PointFilter::should(ranges.collect::<Result<Vec<_>, Error>>()?),
            }
        }
        FieldCondition_::ComparesMoment(comparison, limit) => {
            let limit = comparable(*limit)?;
            in_range(field(TermList::Moments), range(*comparison, limit))
        }
    })
}

fn comparable(moment: Timestamp) -> Result<f64, Error> {
    terms::comparable_moment(moment).ok_or_else(|| not_supported(PARTS_OF_SECONDS))
}

fn range(comparison: Comparison, limit: f64) -> Range {
    let limit = Some(limit);
    match comparison {
        Comparison::Greater => Range {
            gt: limit,
            ..Range::default()
        },
        Comparison::AtLeast => Range {
            gte: limit,
            ..Range::default()
        },
        Comparison::Less => Range {
            lt: limit,
            ..Range::default()
        },
        Comparison::AtMost => Range {
            lte: limit,
            ..Range::default()
        },
    }
}

/// Points of which a field is one of these texts, or has one of them.
pub(crate) fn is_any(field: String, texts: Vec<String>) -> PointFilter {
    if texts.is_empty() {
        return never();
    }
    let strings = RepeatedStrings { strings: texts };
    PointFilter::must([on_field(FieldCondition {
        key: field,
        r#match: Some(Match {
            match_value: Some(MatchValue::Keywords(strings)),
        }),
        ..FieldCondition::default()
    })])
}

/// Points of which a field is another text than these, or has another one.
pub(crate) fn is_any_but(field: String, texts: Vec<String>) -> PointFilter {
    let strings = RepeatedStrings { strings: texts };
    PointFilter::must([on_field(FieldCondition {
        key: field,
        r#match: Some(Match {
            match_value: Some(MatchValue::ExceptKeywords(strings)),
        }),
        ..FieldCondition::default()
    })])
}

/// Points that meet both conditions.
pub(crate) fn both(one: Option<PointFilter>, other: Option<PointFilter>) -> Option<PointFilter> {
    match (one, other) {
        (Some(one), Some(other)) => Some(PointFilter::must([nested(one), nested(other)])),
        (one, other) => one.or(other),
    }
}

/// Points of which a field is a number in a range, or has one.
pub(crate) fn in_range(field: String, range: Range) -> PointFilter {
    PointFilter::must([on_field(FieldCondition {
        key: field,
        range: Some(range),
        ..FieldCondition::default()
    })])
}

/// These points.
pub(crate) fn has_id(ids: impl IntoIterator<Item = Uuid>) -> Condition {
    Condition {
        condition_one_of: Some(ConditionOneOf::HasId(HasIdCondition {
            has_id: ids.into_iter().map(ids::point).collect(),
        })),
    }
}

pub(crate) fn nested(filter: PointFilter) -> Condition {
    Condition {
        condition_one_of: Some(ConditionOneOf::Filter(filter)),
    }
}

fn on_field(condition: FieldCondition) -> Condition {
    Condition {
        condition_one_of: Some(ConditionOneOf::Field(condition)),
    }
}

/// No point at all.
fn never() -> PointFilter {
    PointFilter::must([has_id([])])
}
