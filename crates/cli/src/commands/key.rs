//! `siamese key create|list|revoke`

use std::io::{Write, stdout};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use siamese_server::access::{KeyCollections, KeyRecord, KeysFile, NewKey, Scope};
use siamese_server::config::{Overrides, Settings};

use crate::private_files;

const HOURS_OF_DAY: i64 = 24;

/// Make, list and revoke the keys of a service; a running one takes notice within a second
#[derive(Debug, clap::Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print it, this once
    Create(Create),
    /// Say which keys there are and what each is for
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Make a key worthless
    Revoke {
        /// Its name or its id, as listed
        #[arg(value_name = "NAME|ID")]
        key: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What to call it: who or what is going to use it
    name: String,
    /// What it is for: search, write, metrics, admin; several with commas
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        required = true,
        value_delimiter = ','
    )]
    scopes: Vec<Scope>,
    /// Collection or alias that it is for, or a beginning of names such as 'acme-*'; may be given several times, and
    /// without it the key is for all
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// When it ends: a date such as 2027-01-31, a time in RFC 3339, or days such as 90d; never without it
    #[arg(long, value_name = "WHEN", value_parser = end)]
    expires: Option<Timestamp>,
    /// Requests that it may make in a minute
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<NonZeroU32>,
    /// Tokens that it may have encoded in a minute
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<NonZeroU32>,
    #[command(flatten)]
    place: Place,
}

/// Where the keys are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The settings file that the service is started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder of the service
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The file of keys, if it is not in the data folder
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
}

impl Key {
    pub(crate) fn run(self) -> Result<ExitCode> {
        private_files::keep_to_this_user();
        match self.command {
            KeyCommand::Create(create) => create.run()?,
            KeyCommand::List { json, place } => list(&place.file()?, json)?,
            KeyCommand::Revoke { key, place } => {
                let revoked = place.file()?.revoke(&key)?;
                writeln!(stdout(), "revoked {} ({})", revoked.key.name, revoked.id)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Place {
    fn file(self) -> Result<KeysFile> {
        let settings = Settings::load(&Overrides {
            config_file: self.config,
            data_dir: self.data,
            keys_file: self.keys_file,
            ..Overrides::default()
        })?;
        Ok(settings.keys_file())
    }
}

impl Create {
    fn run(self) -> Result<()> {
        if self.expires.is_some_and(|end| end <= Timestamp::now()) {
            bail!("--expires names a time that is over");
        }
        let names = Some(self.collections).filter(|names| !names.is_empty());
        let new = NewKey {
            name: self.name,
            scopes: self.scopes,
            collections: KeyCollections::new(names)?,
            expires_at: self.expires,
            max_requests_per_minute: self.requests_per_minute,
            max_tokens_per_minute: self.tokens_per_minute,
        };
        let file = self.place.file()?;
        let key = file.create(new)?;
        eprintln!(
            "written to {}, as a hash; keep the key, it is not shown again",
            file.path().display()
        );
        writeln!(stdout(), "{}", key.reveal())?;
        Ok(())
    }
}

fn list(file: &KeysFile, as_json: bool) -> Result<()> {
    let records = file.read()?;
    let mut out = stdout().lock();
    if as_json {
        let keys: Vec<Value> = records.iter().flatten().map(described).collect();
        writeln!(out, "{}", json!({ "keys": keys }))?;
        return Ok(());
    }
    let Some(records) = records else {
        writeln!(
            out,
            "there are no keys: {} is not there",
            file.path().display()
        )?;
        return Ok(());
    };
    for record in &records {
        writeln!(out, "{}", line(record))?;
    }
    Ok(())
}

fn described(record: &KeyRecord) -> Value {
    let key = &record.key;
    json!({
        "id": record.id,
        "name": key.name,
        "scopes": key.scopes,
        "collections": key.collections.names(),
        "created_at": record.created_at.to_string(),
        "expires_at": key.expires_at.map(|end| end.to_string()),
        "expired": record.is_expired(),
        "max_requests_per_minute": key.max_requests_per_minute,
        "max_tokens_per_minute": key.max_tokens_per_minute,
    })
}

/// A key on one line.
fn line(record: &KeyRecord) -> String {
    let key = &record.key;
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.name()).collect();
    let collections = match key.collections.names() {
        Some(names) => names.join(","),
        None => "all collections".to_owned(),
    };
    let mut line = format!(
        "{}  {}  {}  {collections}",
        record.id,
        key.name,
        scopes.join(",")
    );
    if let Some(limit) = key.max_requests_per_minute {
        line += &format!("  {limit} requests/min");
    }
    if let Some(limit) = key.max_tokens_per_minute {
        line += &format!("  {limit} tokens/min");
    }
    match (key.expires_at, record.is_expired()) {
        (Some(end), true) => line += &format!("  EXPIRED {end}"),
        (Some(end), false) => line += &format!("  until {end}"),
        (None, _) => {}
    }
    line
}

/// A day ends at its end, in UTC.
fn end(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        format!(
            "{text:?} is no date such as 2027-01-31, no time in RFC 3339, and no number of days such as 90d"
        )
    };
    if let Some(days) = text.strip_suffix('d') {
        let days: u16 = days.parse().map_err(|_| wrong())?;
        let later = SignedDuration::from_hours(i64::from(days) * HOURS_OF_DAY);
        return Timestamp::now().checked_add(later).map_err(|_| wrong());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day: Date = text.parse().map_err(|_| wrong())?;
    let next = day.tomorrow().map_err(|_| wrong())?;
    let midnight = next.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(midnight.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_key_is_a_day_a_time_or_a_number_of_days() {
        let at = |text: &str| end(text).map(|end| end.to_string());
        assert_eq!(at("2027-01-31").as_deref(), Ok("2027-02-01T00:00:00Z"));
        assert_eq!(
            at("2027-01-31T12:00:00+02:00").as_deref(),
            Ok("2027-01-31T10:00:00Z")
        );
        let days = end("90d").unwrap().as_second() - Timestamp::now().as_second();
        assert!((90 * 86_400 - days).abs() <= 1, "{days}");
        for text in ["", "d", "soon", "-1d", "90", "99999999d", "2027-02-30"] {
            assert!(end(text).is_err(), "{text}");
        }
    }
}
