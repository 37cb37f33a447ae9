//! What the columns of a row say.

use serde_json::{Map, Value};

use super::{Examples, GradedPair, RankedPair, TextId, Texts};

/// Negatives of one example.
const MAX_NEGATIVES: usize = 16;

/// One row.
#[derive(Debug, PartialEq)]
pub(super) enum Example {
    Ranked(RankedPair),
    Scored(GradedPair),
    Labelled(GradedPair),
}

/// What is said of rows that are of no kind.
const KINDS: &str = "a row needs the columns anchor and positive (and may have negative, negative_1, negative_2 .. and \
    label), or sentence1, sentence2 and score, or sentence1, sentence2 and label";

/// The numbers of labels, by their names.
pub(super) type Labels = std::collections::HashMap<String, u32>;

/// Reads a row.
///
/// # Errors
/// What is wrong with it.
pub(super) fn example(
    row: &Map<String, Value>,
    texts: &mut Texts,
    labels: &mut Labels,
) -> Result<Example, String> {
    let has = |name: &str| row.contains_key(name);
    if has("anchor") && has("positive") {
        return Ok(Example::Ranked(RankedPair {
            anchor: text(row, "anchor", texts)?,
            positive: text(row, "positive", texts)?,
            negatives: negatives(row, texts)?,
            label: row
                .get("label")
                .map(|label| label_number(label, labels))
                .transpose()?,
        }));
    }
    if !has("sentence1") || !has("sentence2") {
        return Err(KINDS.to_owned());
    }
    let mut pair = GradedPair {
        left: text(row, "sentence1", texts)?,
        right: text(row, "sentence2", texts)?,
        score: 0.0,
    };
    match (has("score"), has("label")) {
        (true, false) => {
            pair.score = number(row, "score")?;
            Ok(Example::Scored(pair))
        }
        (false, true) => {
            pair.score = number(row, "label")?;
            match pair.score == 0.0 || pair.score == 1.0 {
                true => Ok(Example::Labelled(pair)),
                false => Err(format!("label is {}; it may be 0 or 1", pair.score)),
            }
        }
        _ => Err(KINDS.to_owned()),
    }
}

fn text(row: &Map<String, Value>, name: &str, texts: &mut Texts) -> Result<TextId, String> {
    match row.get(name) {
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(texts.number(text.trim())),
        Some(Value::String(_)) => Err(format!("{name} is empty")),
        _ => Err(format!("{name} is not a string")),
    }
}

fn negatives(row: &Map<String, Value>, texts: &mut Texts) -> Result<Vec<TextId>, String> {
    let mut negatives = Vec::new();
    let is_negative = |name: &str| {
        let number = name
            .strip_prefix("negative")
            .map(|rest| rest.trim_start_matches('_'));
        number.is_some_and(|number| number.chars().all(|digit| digit.is_ascii_digit()))
    };
    for name in row.keys().filter(|name| is_negative(name)) {
        match &row[name] {
            // A column that not every row fills.
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::Array(_) => {
                return Err(format!(
                    "{name} is a list; name them negative_1, negative_2 .."
                ));
            }
            _ => negatives.push(text(row, name, texts)?),
        }
    }
    match negatives.len() <= MAX_NEGATIVES {
        true => Ok(negatives),
        false => Err(format!("there are more than {MAX_NEGATIVES} negatives")),
    }
}

fn label_number(label: &Value, labels: &mut Labels) -> Result<u32, String> {
    let name = match label {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Err("label is neither a string nor a number".to_owned()),
    };
    let next = labels.len() as u32;
    Ok(*labels.entry(name).or_insert(next))
}

fn number(row: &Map<String, Value>, name: &str) -> Result<f32, String> {
    let number = match row.get(name) {
        Some(Value::Number(number)) => number.as_f64(),
        // As CSV has it.
        Some(Value::String(number)) => number.trim().parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| number.is_finite());
    number
        .map(|number| number as f32)
        .ok_or_else(|| format!("{name} is not a number"))
}

impl Examples {
    /// Adds one.
    ///
    /// # Errors
    /// When it is of another kind than those before.
    pub(super) fn push(&mut self, example: Example) -> Result<(), String> {
        if self.is_empty() {
            *self = match &example {
                Example::Ranked(_) => Self::Ranked(Vec::new()),
                Example::Scored(_) => Self::Scored(Vec::new()),
                Example::Labelled(_) => Self::Labelled(Vec::new()),
            };
        }
        match (self, example) {
            (Self::Ranked(pairs), Example::Ranked(pair)) => pairs.push(pair),
            (Self::Scored(pairs), Example::Scored(pair))
            | (Self::Labelled(pairs), Example::Labelled(pair)) => pairs.push(pair),
            _ => return Err("the row has other columns than those before it".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(row: &Value) -> Result<Example, String> {
        let (mut texts, mut labels) = (Texts::default(), Labels::new());
        example(row.as_object().unwrap(), &mut texts, &mut labels)
    }

    #[test]
    fn columns_say_what_a_row_is() {
        let ranked = json!({"anchor": "a", "positive": "b", "negative_2": "c", "negative": "d", "label": "x"});
        let Example::Ranked(pair) = read(&ranked).unwrap() else {
            panic!("another kind");
        };
        assert_eq!(
            (pair.anchor, pair.positive, pair.negatives.len()),
            (0, 1, 2)
        );
        assert_eq!(pair.label, Some(0));
        let scored = read(&json!({"sentence1": "a", "sentence2": "a", "score": "3.5"})).unwrap();
        let pair = GradedPair {
            left: 0,
            right: 0,
            score: 3.5,
        };
        assert_eq!(scored, Example::Scored(pair));
        let labelled = read(&json!({"sentence1": "a", "sentence2": "b", "label": 1})).unwrap();
        assert!(matches!(labelled, Example::Labelled(pair) if pair.score == 1.0));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        for (row, reason) in [
            (json!({"anchor": "a"}), "a row needs the columns"),
            (json!({"anchor": " ", "positive": "b"}), "anchor is empty"),
            (
                json!({"anchor": 1, "positive": "b"}),
                "anchor is not a string",
            ),
            (
                json!({"anchor": "a", "positive": "b", "negative": ["c"]}),
                "negative is a list",
            ),
            (
                json!({"sentence1": "a", "sentence2": "b"}),
                "a row needs the columns",
            ),
            (
                json!({"sentence1": "a", "sentence2": "b", "score": "high"}),
                "score is not a number",
            ),
            (
                json!({"sentence1": "a", "sentence2": "b", "label": 2}),
                "label is 2; it may be 0 or 1",
            ),
        ] {
            let error = read(&row).unwrap_err();
            assert!(error.contains(reason), "{row}: {error}");
        }
    }

    #[test]
    fn all_rows_are_of_one_kind() {
        let mut examples = Examples::default();
        let scored = json!({"sentence1": "a", "sentence2": "b", "score": 1});
        examples.push(read(&scored).unwrap()).unwrap();
        examples.push(read(&scored).unwrap()).unwrap();
        let other = read(&json!({"sentence1": "a", "sentence2": "b", "label": 1})).unwrap();
        assert!(examples.push(other).unwrap_err().contains("other columns"));
        assert!(matches!(examples, Examples::Scored(pairs) if pairs.len() == 2));
    }
}
