//! A comparison of two generations, as people read it.

use std::io::{Write, stdout};

use anyhow::Result;
use serde_json::Value;

/// Width of the names of figures, and of each of the two columns.
const NAME: usize = 24;
const COLUMN: usize = 26;
/// Characters of a query, and hits, that are shown.
const MAX_QUERY_CHARS: usize = 100;
const MAX_HITS: usize = 5;

/// Prints a report as a table.
///
/// # Errors
/// When nobody reads it.
pub(super) fn print(report: &Value) -> Result<()> {
    let mut out = stdout().lock();
    for line in table(report) {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn table(report: &Value) -> Vec<String> {
    let sides = [&report["active"], &report["other"]];
    let mut lines = Vec::new();
    let mut row = |name: &str, values: [Option<String>; 2]| {
        if values.iter().any(Option::is_some) {
            let [active, other] = values.map(|value| value.unwrap_or_else(|| "-".to_owned()));
            lines.push(format!("{name:<NAME$}{active:<COLUMN$}{other}"));
        }
    };
    row(
        "generation",
        sides.map(|side| Some(format!("{} ", side["generation"]))),
    );
    row("encoder", sides.map(|side| text(&side["encoder"]["model"])));
    row(
        "chunking",
        sides.map(|side| Some(chunking(&side["chunking"]))),
    );
    for (name, field) in [
        ("nDCG@10", "ndcg_at_10"),
        ("MRR@10", "mrr_at_10"),
        ("recall@10", "recall_at_10"),
        ("recall@100", "recall_at_100"),
    ] {
        row(name, sides.map(|side| decimals(&side["quality"][field])));
    }
    row("passages", sides.map(|side| whole(&side["passages"])));
    row(
        "tokens a passage",
        sides.map(|side| ratio(&side["sample"]["tokens"], &side["sample"]["passages"])),
    );
    row(
        "passages that are cut",
        sides.map(|side| part(&side["sample"]["cut_passages"], &side["sample"]["passages"])),
    );
    row(
        "vectors, MB",
        sides.map(|side| megabytes(&side["vector_bytes"])),
    );
    row(
        "indexes, MB",
        sides.map(|side| megabytes(&side["index_bytes"])),
    );
    for (name, field) in [("encode", "encode_ms"), ("search", "search_ms")] {
        row(
            &format!("{name} p50, p99, ms"),
            sides.map(|side| quantiles(&side["latency"][field], &["p50", "p99"], 2)),
        );
    }
    for (name, field) in [("first", "first"), ("last", "last")] {
        row(
            &format!("{name} score p10, 50, 90"),
            sides.map(|side| quantiles(&side["scores"][field], &["p10", "p50", "p90"], 3)),
        );
    }
    lines.extend(agreement(report));
    lines.extend(changes(report));
    lines
}

fn agreement(report: &Value) -> Vec<String> {
    let number = |field: &str| report[field].as_f64().unwrap_or_default();
    let mut lines = vec![format!(
        "{} queries, mode {}: overlap@{} {:.3}, rank-biased overlap {:.3} (p = {})",
        report["queries"],
        report["mode"].as_str().unwrap_or_default(),
        report["top_k"],
        number("overlap"),
        number("rank_biased_overlap"),
        report["rank_bias"]
    )];
    if report["better"].is_u64() {
        lines.push(format!(
            "nDCG@10 is higher for {} queries, and lower for {}",
            report["better"], report["worse"]
        ));
    }
    lines
}

fn changes(report: &Value) -> Vec<String> {
    let changed = report["changed"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = Vec::new();
    if !changed.is_empty() {
        lines.push("what changes most:".to_owned());
    }
    for change in changed {
        let query = change["query"].as_str().unwrap_or_default();
        let query: String = query.chars().take(MAX_QUERY_CHARS).collect();
        lines.push(format!("  {query}"));
        let ndcg = &change["ndcg_at_10"];
        let ndcg = decimals(&ndcg["active"]).zip(decimals(&ndcg["other"]));
        let ndcg = ndcg.map(|(active, other)| format!("nDCG@10 {active} to {other}, "));
        lines.push(format!(
            "    {}rank-biased overlap {}",
            ndcg.unwrap_or_default(),
            decimals(&change["rank_biased_overlap"]).unwrap_or_default()
        ));
        for side in ["active", "other"] {
            let hits = change[side].as_array().map_or(&[][..], Vec::as_slice);
            let ids = hits.iter().take(MAX_HITS);
            let ids: Vec<&str> = ids.filter_map(|hit| hit["id"].as_str()).collect();
            lines.push(format!("    {side:<7} {}", ids.join("  ")));
        }
    }
    lines
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn chunking(value: &Value) -> String {
    let mode = value["mode"].as_str().unwrap_or_default();
    match value["max_tokens"].as_u64() {
        Some(tokens) => format!("{mode}, {tokens} tokens"),
        None => mode.to_owned(),
    }
}

fn decimals(value: &Value) -> Option<String> {
    value.as_f64().map(|value| format!("{value:.4}"))
}

fn whole(value: &Value) -> Option<String> {
    value.as_u64().map(|value| value.to_string())
}

fn ratio(part: &Value, whole: &Value) -> Option<String> {
    let (part, whole) = (part.as_f64()?, whole.as_f64()?);
    (whole > 0.0).then(|| format!("{:.1}", part / whole))
}

fn part(part: &Value, whole: &Value) -> Option<String> {
    let (part, whole) = (part.as_u64()?, whole.as_u64()?);
    Some(format!("{part} of the first {whole}"))
}

fn megabytes(value: &Value) -> Option<String> {
    value.as_f64().map(|bytes| format!("{:.1}", bytes / 1e6))
}

fn quantiles(spread: &Value, names: &[&str], digits: usize) -> Option<String> {
    let values: Option<Vec<String>> = names
        .iter()
        .map(|name| {
            spread[*name]
                .as_f64()
                .map(|value| format!("{value:.digits$}"))
        })
        .collect();
    values.map(|values| values.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_two_columns_and_leaves_out_what_is_not_known() {
        let side = |number: u32, ndcg: Option<f64>| {
            json!({
                "generation": number,
                "encoder": {"model": "m"},
                "chunking": {"mode": "sentence", "max_tokens": 128},
                "quality": ndcg.map(|ndcg| json!({"ndcg_at_10": ndcg})),
                "passages": 7,
                "vector_bytes": 1_500_000,
            })
        };
        let report = |ndcg| {
            json!({
                "queries": 3, "mode": "semantic", "top_k": 10, "overlap": 0.5,
                "rank_biased_overlap": 0.25, "rank_bias": 0.9,
                "active": side(1, ndcg), "other": side(2, ndcg),
                "changed": [{"query": "x", "rank_biased_overlap": 0.1,
                             "active": [{"id": "a"}], "other": [{"id": "b"}]}],
            })
        };
        let lines = table(&report(Some(0.66)));
        let ndcg = lines
            .iter()
            .find(|line| line.starts_with("nDCG@10"))
            .unwrap();
        assert_eq!(ndcg.matches("0.6600").count(), 2, "{ndcg}");
        assert!(
            lines.iter().any(|line| line.contains("overlap@10 0.500")),
            "{lines:?}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line.contains("sentence, 128 tokens"))
        );
        assert!(
            lines.iter().any(|line| line.ends_with("other   b")),
            "{lines:?}"
        );
        let lines = table(&report(None));
        assert!(
            !lines.iter().any(|line| line.starts_with("nDCG@10")),
            "{lines:?}"
        );
    }
}
