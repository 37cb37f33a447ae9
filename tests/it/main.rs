//! The service as its users meet it: a process, a port, a folder.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail tests"
)]

mod access;
mod aliases;
mod answers;
mod bad_input;
mod collections;
mod comparison;
mod compatible;
mod connections;
mod damage;
mod dashboards;
mod dedup;
mod disk_trouble;
mod documents;
mod doors;
mod duplicates;
mod encodings;
mod evaluation;
mod explanations;
mod feedback;
mod files;
mod filters;
mod generation_trouble;
mod generations;
mod house_rules;
mod http2;
mod jobs;
mod key_budgets;
mod kill;
mod kill_generations;
mod kill_mixed;
mod map;
mod mcp;
mod memory;
mod migration;
mod modes;
mod numbers;
mod on_duplicate;
mod overload;
mod paging;
mod parity;
mod passages;
mod reranking;
mod search;
mod several_models;
mod shutdown;
mod similarity;
mod slow_queries;
mod snapshots;
mod soak;
mod startup;
mod stats;
mod streaming;
mod telemetry;
mod tls;
mod training;
mod training_jobs;
mod training_pairs;
mod ways_to_search;
