//! `siamese healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use siamese_server::config::{Overrides, Settings, TlsSettings};
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, TlsConfig, parse_pem};

use super::serve::scheme;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Ask the service on this machine whether it is ready; exit code 0 or 1
#[derive(Debug, clap::Args)]
pub(crate) struct Healthcheck {
    /// The settings file that the service was started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address that the service was told to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Healthcheck {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let settings = Settings::load(&Overrides {
            config_file: self.config,
            listen: self.listen,
            ..Overrides::default()
        })?;
        let address = reachable(settings.server.listen);
        let url = format!("{}://{address}/readyz", scheme(&settings));
        let config = Agent::config_builder()
            .tls_config(tls(&settings.server.tls)?)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT));
        let agent: Agent = config.build().into();
        match agent.get(&url).call() {
            Ok(answer) if answer.status().is_success() => Ok(ExitCode::SUCCESS),
            Ok(answer) => bail!("{url} answered {}", answer.status()),
            Err(error) => bail!("{url} did not answer: {error}"),
        }
    }
}

/// The certificate is for the names that others use, and an address of this machine is none of them, so it is not
/// compared. Where clients need a certificate, the service's own is shown.
fn tls(settings: &TlsSettings) -> Result<TlsConfig> {
    let config = TlsConfig::builder().disable_verification(true);
    let (Some(_), Some(certificate), Some(key)) =
        (settings.client_ca(), settings.certificate(), settings.key())
    else {
        return Ok(config.build());
    };
    let chain = fs_err::read(certificate)?;
    let chain = parse_pem(&chain).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let chain: Vec<Certificate<'static>> = chain.collect();
    let key = PrivateKey::from_pem(&fs_err::read(key)?)?;
    let certificate = ClientCert::new_with_certs(&chain, key);
    Ok(config.client_cert(Some(certificate)).build())
}

/// An address to connect to for one that is listened on: "every address" is reached by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_every_address_is_asked_over_loopback() {
        let ask = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(ask("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(ask("[::]:8080"), "[::1]:8080");
        assert_eq!(ask("192.168.1.2:80"), "192.168.1.2:80");
    }
}
