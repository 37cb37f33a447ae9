//! A minute of mixed load. The long form is `siamese bench soak --minutes 60`, which also judges
//! memory and latency; beside other tests these say nothing.

use std::process::Command;

use serde_json::Value;
use siamese_tests::{binary, model_dir};

#[test]
fn a_minute_of_mixed_load_fails_no_request_and_leaves_no_handle_open() {
    let output = Command::new(binary())
        .args([
            "bench",
            "soak",
            "--minutes",
            "1",
            "--max-head-passages",
            "64",
            "--json",
        ])
        .env("SIAMESE__ENCODER__MODEL", model_dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(&text).expect("a verdict");
    assert_eq!(result["failures"], 0, "{output:?}");
    assert!(result["written"].as_u64().unwrap() > 100, "{result}");
    let figures = result["figures"].as_array().unwrap();
    let handles = figures
        .iter()
        .find(|figure| figure["name"] == "handles")
        .unwrap();
    assert_eq!(handles["flat"], true, "{result}");
}
