//! A disk that is full, and one that fails: writes are refused, reads go on, and nothing that was
//! acknowledged is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use siamese_tests::{Answer, Client, Server, ServerOptions, SmallDisk};
use ureq::http::Method;

fn put(client: &Client, id: &str) -> Answer {
    client.post(
        "/documents",
        json!({"documents": [{"id": id, "text": format!("text {id}")}]}),
    )
}

fn assert_reads_go_on(client: &Client, id: &str) {
    client.get(&format!("/documents/{id}")).ok();
    let hits = client
        .post(
            "/search",
            json!({"query": format!("text {id}"), "top_k": 100}),
        )
        .ok();
    let hits = hits["hits"].as_array().unwrap();
    assert!(hits.iter().any(|hit| hit["id"] == id), "{hits:?}");
    client.get("/documents?limit=1000").ok();
}

/// Asks the probe until it answers so; it looks every second.
#[track_caller]
fn await_probe(client: &Client, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = client.get("/readyz");
        if is_so(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "the probe says {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_degraded(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["status"] == "degraded"
}

#[track_caller]
fn assert_condition(client: &Client, name: &str, holds: bool) {
    let metrics = client.get("/metrics").text;
    let line = format!(
        "siamese_condition{{condition=\"{name}\"}} {}",
        u8::from(holds)
    );
    assert!(
        metrics.lines().any(|found| found == line),
        "{line}: {metrics}"
    );
}

#[test]
fn a_data_folder_that_is_moved_is_read_and_not_written_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, elsewhere) = (folder.path().join("data"), folder.path().join("moved"));
    let server = Server::start(&data);
    let client = server.client();
    put(client, "before").ok();
    assert_eq!(client.get("/readyz").ok()["status"], "ok");
    fs_err::rename(&data, &elsewhere).unwrap();
    put(client, "lost").problem(503, "storage_moved");
    client
        .delete("/documents/before")
        .problem(503, "storage_moved");
    assert_reads_go_on(client, "before");
    let problem = await_probe(client, |answer| answer.status == 503);
    let problem = problem.problem(503, "not_ready");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("data_folder_moved: "), "{detail}");
    assert_condition(client, "data_folder_moved", true);
    assert!(!data.exists(), "it was made anew");
    fs_err::rename(&elsewhere, &data).unwrap();
    put(client, "after").ok();
    await_probe(client, |answer| answer.status == 200);
    assert_condition(client, "data_folder_moved", false);
    assert!(server.terminate().success());
    let server = Server::start(&data);
    assert_reads_go_on(server.client(), "before");
    assert_reads_go_on(server.client(), "after");
    server
        .client()
        .get("/documents/lost")
        .problem(404, "document_not_found");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_and_serves_reads() {
    let Some(disk) = SmallDisk::mount(64) else {
        return;
    };
    let server = ServerOptions::new(&disk.path().join("data"))
        .setting("STORAGE__MIN_FREE_DISK_BYTES", 16 << 20)
        .setting("INDEX__MAX_HEAD_PASSAGES", 8)
        .start();
    let client = server.client();
    put(client, "before").ok();
    // Until the service itself has filled the disk.
    let filling = "x".repeat(60_000);
    let mut stored = Vec::new();
    let full = loop {
        let ids: Vec<String> = (0..10)
            .map(|n| format!("long-{}", stored.len() + n))
            .collect();
        let document = |id: &String| json!({"id": id, "text": id, "metadata": {"x": filling}});
        let documents: Vec<Value> = ids.iter().map(document).collect();
        let answer = client.post("/documents", json!({ "documents": documents }));
        if answer.status != 200 {
            break answer;
        }
        stored.extend(ids);
        assert!(stored.len() < 2000, "the disk never fills");
    };
    full.problem(507, "storage_full");
    assert_reads_go_on(client, "before");
    for id in &stored {
        client.get(&format!("/documents/{id}")).ok();
    }
    // What is left of the room that writes may use.
    let left = disk.free_bytes().saturating_sub(15 << 20);
    fs_err::write(disk.path().join("other"), vec![0; left as usize]).unwrap();
    await_probe(client, is_degraded);
    assert_condition(client, "disk_full", true);
    let made = client.try_json(Method::PUT, "/collections/new", &json!({}));
    made.unwrap().problem(507, "storage_full");
    client.delete("/documents/long-0").ok();
    client
        .get("/documents/long-0")
        .problem(404, "document_not_found");
    // Somebody makes room: the same disk, larger.
    disk.resize(128);
    await_probe(client, |answer| answer.json()["status"] == "ok");
    put(client, "after").ok();
    assert_reads_go_on(client, "after");
    assert!(server.terminate().success());
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod failing {
    use std::path::{Path, PathBuf};

    use siamese_tests::io_shim;

    use super::*;

    /// Lets all fsyncs ("f") or writes ("w") below the data folder fail for a while.
    fn what_failed_is_refused_until_a_restart(what: &str) {
        let folder = tempfile::tempdir().unwrap();
        let (data, failing) = (folder.path().join("data"), folder.path().join("failing"));
        let server = ServerOptions::new(&data)
            .environment("LD_PRELOAD", &io_shim(folder.path()))
            .environment("SIAMESE_IO_ROOT", &data)
            .environment("SIAMESE_IO_FAIL", &failing)
            .start();
        let client = server.client();
        put(client, "before").ok();
        fs_err::write(&failing, what).unwrap();
        put(client, "unlucky").problem(500, "storage_failed");
        let problem = client.get("/readyz").problem(503, "not_ready");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("writes_stopped: "), "{detail}");
        assert_condition(client, "writes_stopped", true);
        assert_reads_go_on(client, "before");
        fs_err::remove_file(&failing).unwrap();
        // A later fsync that succeeds says nothing about the earlier write.
        let problem: Value = put(client, "late").problem(500, "storage_failed");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("started again"),
            "{problem}"
        );
        client
            .delete("/documents/before")
            .problem(500, "storage_failed");
        assert_reads_go_on(client, "before");
        client
            .get("/documents/late")
            .problem(404, "document_not_found");
        server.kill();

        let server = Server::start(&data);
        assert_reads_go_on(server.client(), "before");
        put(server.client(), "after").ok();
        assert_reads_go_on(server.client(), "after");
    }

    #[test]
    fn an_fsync_that_fails_stops_writes_until_a_restart_and_reads_go_on() {
        what_failed_is_refused_until_a_restart("f");
    }

    #[test]
    fn a_write_that_fails_stops_writes_until_a_restart_and_reads_go_on() {
        what_failed_is_refused_until_a_restart("w");
    }

    /// A server whose fsyncs hang while the file is there that this returns.
    fn with_hanging_fsyncs(folder: &Path, exit_after_ms: u64) -> (Server, PathBuf) {
        let (data, failing) = (folder.join("data"), folder.join("failing"));
        let server = ServerOptions::new(&data)
            .environment("LD_PRELOAD", &io_shim(folder))
            .environment("SIAMESE_IO_ROOT", &data)
            .environment("SIAMESE_IO_FAIL", &failing)
            .setting("STORAGE__STALL_AFTER_MS", 300)
            .setting("STORAGE__EXIT_AFTER_STALL_MS", exit_after_ms)
            .setting("SERVER__SHUTDOWN_GRACE_MS", 1000)
            .start();
        (server, failing)
    }

    /// Begins a write that hangs, and waits until others are refused.
    fn stall(server: &Server, failing: &Path) -> std::thread::JoinHandle<()> {
        let client = server.client().clone();
        put(&client, "before").ok();
        fs_err::write(failing, "h").unwrap();
        let hanging = {
            let client = client.clone();
            // Its answer comes late or never.
            let body = json!({"documents": [{"id": "hanging", "text": "text hanging"}]});
            std::thread::spawn(move || drop(client.try_json(Method::POST, "/documents", &body)))
        };
        // What is sent before it is noticed waits as well.
        await_probe(&client, |answer| answer.status == 503);
        put(&client, "refused").problem(503, "storage_stalled");
        hanging
    }

    #[test]
    fn while_a_write_makes_no_progress_others_are_refused_and_they_go_on_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (server, failing) = with_hanging_fsyncs(folder.path(), 0);
        let hanging = stall(&server, &failing);
        let client = server.client();
        client.get("/livez").ok();
        client
            .delete("/documents/before")
            .problem(503, "storage_stalled");
        fs_err::remove_file(&failing).unwrap();
        hanging.join().unwrap();
        await_probe(client, |answer| answer.status == 200);
        put(client, "after").ok();
        assert_reads_go_on(client, "hanging");
    }

    #[test]
    fn a_process_whose_writes_stay_stalled_ends_by_itself_and_has_lost_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (mut server, failing) = with_hanging_fsyncs(folder.path(), 5000);
        let hanging = stall(&server, &failing);
        let status = server.wait_for_exit();
        assert_eq!(status.code(), Some(75));
        hanging.join().unwrap();
        fs_err::remove_file(&failing).unwrap();
        let server = Server::start(&folder.path().join("data"));
        assert_reads_go_on(server.client(), "before");
        put(server.client(), "after").ok();
    }
}
