//! Facets on the wire: values of a field with the number of documents that have them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use siamese_index::{Facet, FacetRequest, FacetValue, FieldPath, Number, Scalar};
use utoipa::ToSchema;

use super::filter::check_text_bytes;
use crate::config::Limits;
use crate::error::ApiError;

/// A value and how many of the matching documents have it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FacetShape {
    /// A string, a number, true, false or null.
    value: Value,
    /// Documents that have the value, by itself or in an array.
    #[schema(minimum = 1)]
    count: u64,
}

/// Checks the fields to count and reads their paths.
///
/// # Errors
/// 422 with a pointer to the field.
pub(super) fn read_facets(fields: &[String], limits: &Limits) -> Result<FacetRequest, ApiError> {
    if fields.len() > limits.max_facets {
        let detail = format!(
            "there are {} facets, over limits.max_facets = {}",
            fields.len(),
            limits.max_facets
        );
        return Err(ApiError::invalid("/facets", detail));
    }
    let mut paths: Vec<FieldPath> = Vec::with_capacity(fields.len());
    for (place, field) in fields.iter().enumerate() {
        let pointer = format!("/facets/{place}");
        check_text_bytes(field, limits.max_filter_text_bytes, &pointer)?;
        let path = FieldPath::parse(field)
            .map_err(|error| ApiError::invalid(pointer.as_str(), error.to_string()))?;
        if paths.contains(&path) {
            return Err(ApiError::invalid(pointer, "the field stands there twice"));
        }
        paths.push(path);
    }
    Ok(FacetRequest {
        paths,
        max_values: limits.max_facet_values,
    })
}

/// For each field, how many documents have a value that is not among the counted ones.
pub(super) fn others(fields: &[String], facets: &[Facet]) -> BTreeMap<String, u64> {
    let others = facets.iter().map(|facet| facet.other);
    fields.iter().cloned().zip(others).collect()
}

/// The counts under the names that the request gave the fields.
pub(super) fn facet_shapes(
    fields: Vec<String>,
    facets: Vec<Facet>,
) -> BTreeMap<String, Vec<FacetShape>> {
    let shape = |facet: FacetValue| FacetShape {
        value: json_value(&facet.value),
        count: facet.count,
    };
    let values = facets
        .into_iter()
        .map(|facet| facet.values.into_iter().map(shape).collect());
    fields.into_iter().zip(values).collect()
}

/// A value as JSON.
pub(super) fn json_value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Number(number) => json_number(*number),
        Scalar::Text(text) => Value::from(&**text),
    }
}

/// 1 and 1.0 are one value, written as 1.
fn json_number(number: Number) -> Value {
    let integer = number.as_integer().and_then(|integer| {
        let signed = i64::try_from(integer).map(Value::from);
        signed
            .or_else(|_| u64::try_from(integer).map(Value::from))
            .ok()
    });
    integer.unwrap_or_else(|| Value::from(number.as_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};
    use serde_json::json;

    #[test]
    fn values_are_written_as_json_has_them() {
        for (value, written) in [
            (json!(1.0), "1"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(0.5), "0.5"),
            (json!(1e300), "1e+300"),
            (json!(null), "null"),
            (json!("a"), "\"a\""),
        ] {
            let scalar = Scalar::of(&value).unwrap();
            assert_eq!(json_value(&scalar).to_string(), written);
        }
    }

    #[test]
    fn a_bad_field_is_pointed_at() {
        let limits = Settings::load(&Overrides::default()).unwrap().limits;
        let pointer = |fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            let refused = read_facets(&fields, &limits).err()?;
            refused.problem(None).pointer
        };
        assert_eq!(pointer(&["a", "b.c"]), None);
        assert_eq!(pointer(&["a", r"\a"]).unwrap(), "/facets/1");
        assert_eq!(pointer(&["$a", r"\$a"]).unwrap(), "/facets/1");
        assert_eq!(pointer(&["a"; 17]).unwrap(), "/facets");
    }
}
