//! What deploy/ has for Prometheus and Grafana asks for metrics that a fresh service has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use siamese_tests::ServerOptions;

fn deploy(path: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("deploy").join(path)
}

/// A selector such as `siamese_documents{collection="x"}`.
#[derive(Debug)]
struct Selector {
    metric: String,
    /// Label and value, where it asks for one value.
    labels: Vec<(String, Option<String>)>,
}

/// The selectors of the service's metrics in an expression.
fn selectors(expression: &str) -> Vec<Selector> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut selectors = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_name) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if !name.starts_with("siamese_") && !name.starts_with("process_") {
            continue;
        }
        let labels = after
            .strip_prefix('{')
            .and_then(|labels| labels.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels);
        selectors.push(Selector {
            metric: name.to_owned(),
            labels: labels.split(',').filter_map(label).collect(),
        });
    }
    selectors
}

/// A condition of a selector. Prometheus adds the instance itself.
fn label(condition: &str) -> Option<(String, Option<String>)> {
    let end = condition.find(['=', '!'])?;
    let (name, rest) = condition.split_at(end);
    if name == "instance" {
        return None;
    }
    let value = rest
        .strip_prefix("=\"")
        .map(|value| value.trim_end_matches('"'));
    Some((name.to_owned(), value.map(ToOwned::to_owned)))
}

fn has(metrics: &str, selector: &Selector) -> bool {
    metrics.lines().any(|line| {
        let rest = line
            .strip_prefix(selector.metric.as_str())
            .unwrap_or_default();
        rest.starts_with([' ', '{'])
            && selector.labels.iter().all(|(name, value)| match value {
                Some(value) => rest.contains(&format!("{name}=\"{value}\"")),
                None => rest.contains(&format!("{name}=\"")),
            })
    })
}

fn fresh_metrics() -> String {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerOptions::tiny(folder.path()).start();
    server.client().get("/metrics").text
}

#[track_caller]
fn assert_all_are_there(expressions: &[String], at_least: usize) {
    let metrics = fresh_metrics();
    let mut names = BTreeSet::new();
    for expression in expressions {
        let selectors = selectors(expression);
        for selector in selectors {
            assert!(
                has(&metrics, &selector),
                "{selector:?} of {expression:?} is not in:\n{metrics}"
            );
            names.insert(selector.metric);
        }
    }
    assert!(names.len() >= at_least, "{names:?}");
}

#[test]
fn every_metric_of_the_dashboard_is_there_from_the_start() {
    let text = fs_err::read_to_string(deploy("grafana/dashboards/siamese.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<String> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert_all_are_there(&expressions, 30);
}

#[test]
fn every_metric_of_the_alerts_is_there_from_the_start() {
    let text = fs_err::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    // Expressions stand between their key and the next one, on one line or several.
    let expressions = text.split("expr:").skip(1).map(|rest| {
        let end = ["\n        for:", "\n        labels:", "\n        #"]
            .into_iter()
            .filter_map(|key| rest.find(key))
            .min();
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    let expressions: Vec<String> = expressions.collect();
    assert_all_are_there(&expressions, 12);
}

#[test]
fn selectors_are_found_with_what_they_ask_for() {
    let found = selectors(
        "sum(rate(siamese_a_total{instance=~\"$i\",result=\"hit\",x!~\"y\"}[5m])) / siamese_b > 0",
    );
    let names: Vec<&str> = found
        .iter()
        .map(|selector| selector.metric.as_str())
        .collect();
    assert_eq!(names, ["siamese_a_total", "siamese_b"]);
    assert_eq!(
        found[0].labels,
        [
            ("result".to_owned(), Some("hit".to_owned())),
            ("x".to_owned(), None)
        ]
    );
    assert!(has("siamese_a_total{x=\"1\",result=\"hit\"} 3", &found[0]));
    assert!(!has(
        "siamese_a_total{x=\"1\",result=\"miss\"} 3",
        &found[0]
    ));
    assert!(!has("siamese_b_total 3", &found[1]));
}
