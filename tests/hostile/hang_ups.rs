//! Long work whose caller is gone, and long work that must be answered.

use std::time::Duration;

use serde_json::json;

use crate::attacker::{Attacker, Tally};
use crate::figures::Weight;
use crate::form::short_or_full;
use crate::trial::Trial;
use crate::victim::Victim;
use crate::wire::head;

/// Time after a hang-up until nothing is done for it any more.
const QUIET_WITHIN: Duration = Duration::from_secs(5);

/// Sends a request on some connections, and hangs up a moment later.
fn hang_up(attacker: &Attacker, connections: usize, path: &str, body: &[u8]) -> Tally {
    attacker.together(connections, |attacker, _| {
        let mut tally = Tally::default();
        let Ok(mut wire) = attacker.connect() else {
            tally.add("not connected");
            return tally;
        };
        drop(wire.request(&head("POST", path, "application/json", body.len()), body));
        std::thread::sleep(Duration::from_millis(300));
        wire.hang_up();
        tally.add("hung up by the caller");
        tally
    })
}

#[test]
fn work_ends_when_its_caller_hangs_up() {
    let mut trial = Trial::new(Victim::start);
    let text = "some words of a text ".repeat(short_or_full(2_000, 40));
    let documents: Vec<_> = (0..short_or_full(500, 1000))
        .map(|n| json!({"id": format!("d{n}"), "text": format!("{n} {text}")}))
        .collect();
    let documents = json!({"documents": documents}).to_string().into_bytes();
    let search =
        json!({"query": "bystander", "top_k": 100, "exact": true, "include": ["passages"]});
    let searches = json!({"searches": vec![search; 100]})
        .to_string()
        .into_bytes();
    let texts: Vec<String> = (0..1024).map(|n| format!("a text of number {n}")).collect();
    let similarity = json!({"left": texts, "right": texts})
        .to_string()
        .into_bytes();
    let kinds = [
        ("documents", "/documents", &documents),
        (
            "searches",
            "/collections/bystanders/search/batch",
            &searches,
        ),
        ("a million scores", "/similarity", &similarity),
    ];
    for (name, path, body) in kinds {
        trial.once(
            &format!("8 hang-ups in the middle of {name}"),
            Weight::Hundred,
            |attacker| hang_up(attacker, 8, path, body),
        );
        let quiet_after = trial.quiet_after();
        trial.expect(
            quiet_after.is_some_and(|time| time <= QUIET_WITHIN),
            &format!("{name}: work goes on for {quiet_after:?}"),
        );
    }
    trial.verdict();
}

#[test]
fn a_document_as_large_as_allowed_is_stored_in_its_time() {
    let mut trial = Trial::new(Victim::start);
    let kinds: &[(&str, String)] = &[
        ("one word", "a".repeat(1 << 20)),
        ("the same word", "word ".repeat((1 << 20) / 5)),
        ("one letter words", "a ".repeat(1 << 19)),
        ("ideographs", "\u{4e00}".repeat((1 << 20) / 3)),
        ("accents", "e\u{301}".repeat((1 << 20) / 3)),
        ("sentence ends", ". ".repeat(1 << 19)),
        ("line ends", "a\n".repeat(1 << 19)),
        ("signs", "!".repeat(1 << 20)),
    ];
    for (name, text) in kinds {
        let document = json!({"id": "large", "text": text});
        let body = json!({"documents": [document]}).to_string().into_bytes();
        let answered = trial.once(&format!("1 MiB of {name}"), Weight::One, |attacker| {
            Tally::from(attacker.post("/documents", &body))
        });
        trial.expect(
            answered.all(|what| what == "200" || what == "422"),
            &format!("1 MiB of {name} is answered {answered}"),
        );
    }
    trial.verdict();
}
