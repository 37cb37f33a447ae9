//! Shapes that come as JSON objects and as nothing else.
//!
//! What serde derives for a struct takes an array, too, with the fields in their order. That is no
//! part of the API.

/// Implements `Deserialize` for structs that derive it with `#[serde(remote = "Self")]`: an object
/// is read as derived, everything else is refused.
macro_rules! from_object_only {
    ($($shape:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $shape {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $shape;

                    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        to.write_str("a JSON object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        map: A,
                    ) -> Result<Self::Value, A::Error> {
                        <$shape>::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    )+};
}

pub(crate) use from_object_only;

#[cfg(test)]
mod tests {
    use crate::extract::parse_json;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(remote = "Self", deny_unknown_fields)]
    struct Inner {
        count: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(remote = "Self", deny_unknown_fields)]
    struct Outer {
        inner: Option<Inner>,
    }

    from_object_only!(Inner, Outer);

    #[test]
    fn objects_are_read_and_arrays_are_pointed_at() {
        let read = parse_json::<Outer>(br#"{"inner": {"count": 3}}"#).unwrap();
        assert_eq!(read.inner.unwrap().count, 3);
        for (body, pointer) in [
            ("[null]", ""),
            (r#"{"inner": [3]}"#, "/inner"),
            (r#"{"inner": {"count": "x"}}"#, "/inner/count"),
        ] {
            let refused = parse_json::<Outer>(body.as_bytes()).unwrap_err();
            let problem = refused.problem(None);
            assert_eq!(problem.status, 422, "{body}");
            assert_eq!(problem.pointer.unwrap_or_default(), pointer, "{body}");
        }
    }
}
