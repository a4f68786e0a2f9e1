//! The environment above the file.

use std::ffi::OsString;

use gateway::config::{Config, Loaded, Place, Rejected};
use origin_resolver::Kind;
use secrecy::ExposeSecret;

use super::FINE;

fn with(variables: &[(&str, &str)]) -> Result<Loaded, Rejected> {
    let variables: Vec<(OsString, OsString)> = variables
        .iter()
        .map(|(name, value)| (format!("MEDIA_GATEWAY_{name}").into(), (*value).into()))
        .collect();
    Config::parse("gateway.toml", FINE, variables)
}

#[test]
fn a_variable_wins_over_the_file() {
    let config = with(&[
        ("SERVER__LISTEN", "127.0.0.1:1"),
        ("SERVER__DRAIN", "5s"),
        ("SERVER__LIMITS__BODIES", "7"),
        ("SERVER__ORIGIN_HEADER", "false"),
        ("SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\", \"::1\"]"),
        ("CONFIG", "/etc/x.toml"),
    ])
    .unwrap()
    .config;
    assert_eq!(
        config.server.listen.addresses,
        ["127.0.0.1:1".parse().unwrap()]
    );
    assert_eq!(config.server.drain.as_secs(), 5);
    assert_eq!(config.server.limits.bodies, 7);
    assert!(!config.server.origin_header);
    assert_eq!(config.server.trusted_proxies.networks.len(), 2);
}

#[test]
fn digits_stay_text_where_text_is_wanted() {
    let config = with(&[
        ("ORIGINS__CURRENT__BUCKET", "2024"),
        ("ADMIN__TOKEN", "0123456789"),
        ("SERVER__LISTEN", "[::1]:81"),
    ])
    .unwrap()
    .config;
    let Kind::S3(s3) = &config.origins[0].settings.kind else {
        panic!("not a bucket")
    };
    assert_eq!(&*s3.bucket, "2024");
    assert_eq!(config.admin.token.unwrap().expose_secret(), "0123456789");
}

#[test]
fn a_whole_configuration_can_come_from_the_environment() {
    let variables = [
        ("ORIGINS__CURRENT__KIND", "http"),
        ("ORIGINS__CURRENT__URL", "https://old.example.com"),
        ("ROUTES", "[{ url = \"/\", origins = [\"current\"] }]"),
    ];
    let variables = variables.map(|(name, value)| {
        let name: OsString = format!("MEDIA_GATEWAY_{name}").into();
        (name, value.into())
    });
    let config = Config::parse("gateway.toml", "", variables).unwrap().config;
    assert_eq!(config.routes[0].origins, [Box::<str>::from("current")]);
}

#[test]
fn a_problem_names_its_variable_and_not_its_secret() {
    let rejected = with(&[
        ("ORIGINS__CURRENT__SECRET_ACCES_KEY", "hunter2"),
        ("SERVER__DRAIN", "soon"),
        ("ADMIN__TOKEN", "hunter2 hunter2"),
    ])
    .unwrap_err();
    let mut places: Vec<String> = rejected
        .problems
        .iter()
        .map(|problem| match &problem.place {
            Some(Place::Environment { variable }) => variable.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "MEDIA_GATEWAY_ADMIN__TOKEN",
            "MEDIA_GATEWAY_ORIGINS__CURRENT__SECRET_ACCES_KEY",
            "MEDIA_GATEWAY_SERVER__DRAIN",
        ]
    );
    assert!(!format!("{rejected:?}").contains("hunter2"));
}

#[test]
fn what_kubernetes_injects_is_ignored_with_one_warning() {
    let loaded = with(&[
        ("PORT", "tcp://10.0.0.1:8080"),
        ("PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_PORT", "8080"),
        ("ADMIN_SERVICE_HOST", "10.0.0.2"),
    ])
    .unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0]
            .reason
            .contains("MEDIA_GATEWAY_SERVICE_HOST")
    );
}
