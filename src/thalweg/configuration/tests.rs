use std::fs;

use clap::Parser;

use super::*;
use crate::arguments::{Arguments, Command, with_default_command};

fn flags(arguments: &[&str]) -> ServeArguments {
    let arguments = ["thalweg"].iter().chain(arguments).map(Into::into);
    let Command::Serve(arguments) = Arguments::parse_from(with_default_command(arguments)).command;
    arguments
}

fn file(text: &str) -> ConfigFile {
    toml::from_str(text).unwrap()
}

#[test]
fn with_nothing_said_it_serves_this_machine() {
    let configuration = merge(flags(&[]), file("")).unwrap();

    assert_eq!(configuration.data_dir, PathBuf::from("./thalweg-data"));
    assert_eq!(configuration.kafka_listen, "127.0.0.1:9092".parse().unwrap());
    assert_eq!(configuration.aws_listen, "127.0.0.1:4567".parse().unwrap());
    assert_eq!(configuration.admin_listen, Some("127.0.0.1:9644".parse().unwrap()));
    assert_eq!(configuration.advertised, Address { host: "127.0.0.1".into(), port: 9092 });
    assert_eq!(configuration.cores, host::cpu_count());
    assert!(configuration.memory >= memory_min(configuration.cores));
    assert!(configuration.pin_cores);
    assert_eq!(configuration.idle_spin_us, 0);
    assert!(configuration.configs.is_empty());
}

#[test]
fn a_flag_wins_over_the_file() {
    let file = file("cores = 3\ndata-dir = \"/from/file\"\nmemory = \"1GiB\"\n");
    let configuration = merge(flags(&["--cores", "2"]), file).unwrap();

    assert_eq!(configuration.cores, 2);
    assert_eq!(configuration.data_dir, PathBuf::from("/from/file"));
    assert_eq!(configuration.memory, Size { bytes: 1 << 30 });
}

#[test]
fn cores_are_pinned_unless_told_otherwise() {
    let pinned =
        |arguments: &[&str], text: &str| merge(flags(arguments), file(text)).unwrap().pin_cores;
    assert!(!pinned(&["--pin-cores", "false"], ""));
    assert!(!pinned(&["--pin-cores=false"], "pin-cores = true\n"));
    assert!(!pinned(&[], "pin-cores = false\n"));
    assert!(pinned(&["--pin-cores"], "pin-cores = false\n"));
}

#[test]
fn broker_configs_win_key_by_key() {
    let file = file("[set]\n\"num.partitions\" = 4\n\"a\" = \"file\"\n\"b\" = true\n");
    let mut flags = flags(&["--set", "a=flag", "--set", "cleanup.policy=compact,delete"]);
    flags.set_list = Some("a=environment; c = environment ;".into());
    let configuration = merge(flags, file).unwrap();

    let configs: Vec<_> =
        configuration.configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        configs,
        ["a=flag", "b=true", "c=environment", "cleanup.policy=compact,delete", "num.partitions=4"]
    );
}

#[test]
fn port_zero_becomes_a_free_port_that_is_advertised() {
    let configuration = merge(flags(&["--kafka-listen", "127.0.0.1:0"]), file("")).unwrap();

    assert_ne!(configuration.kafka_listen.port(), 0);
    assert_eq!(configuration.advertised.port, configuration.kafka_listen.port());
}

#[test]
fn the_admin_door_can_be_switched_off() {
    let configuration = merge(flags(&["--admin-listen", "off"]), file("")).unwrap();
    assert_eq!(configuration.admin_listen, None);
    let configuration = merge(flags(&[]), file("admin-listen = \"off\"")).unwrap();
    assert_eq!(configuration.admin_listen, None);
}

#[test]
fn listening_everywhere_advertises_a_name() {
    let configuration = merge(flags(&["--kafka-listen", "0.0.0.0:9092"]), file("")).unwrap();

    assert_ne!(configuration.advertised.host, "0.0.0.0");
}

#[test]
fn ipv6_addresses_wear_brackets() {
    let parse = |text| parse_address("kafka-listen", text);
    assert_eq!(parse("[::1]:9092").unwrap(), Address { host: "::1".into(), port: 9092 });
    assert!(parse("::1:9092").is_err());
}

#[test]
fn nonsense_is_refused_with_the_setting_s_name() {
    for (arguments, named) in [
        (vec!["--kafka-listen", "9092"], "kafka-listen"),
        (vec!["--aws-listen", "127.0.0.1:99999"], "aws-listen"),
        (vec!["--advertised-address", ":9092"], "advertised-address"),
        (vec!["--admin-listen", "no"], "admin-listen"),
        (vec!["--cores", "0"], "cores"),
        (vec!["--idle-spin-us", "1000001"], "idle-spin-us"),
        (vec!["--memory", "1MiB"], "memory"),
        (vec!["--set", "num.partitions"], "set"),
    ] {
        let error = merge(flags(&arguments), file("")).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{named}: ")), "{arguments:?}: {error}");
    }
}

#[test]
fn a_misspelt_key_of_the_file_is_an_error_that_names_file_and_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("thalweg.toml");
    fs::write(&path, "data-dri = \"/data\"\n").unwrap();

    let error = config_file::read(&path).unwrap_err().to_string();

    assert!(error.contains("thalweg.toml") && error.contains("data-dri"), "{error}");
}

#[test]
fn a_missing_file_is_an_error() {
    let arguments = flags(&["--config", "/no/such/file.toml"]);
    let error = Configuration::resolve(arguments).unwrap_err().to_string();
    assert!(error.contains("/no/such/file.toml"), "{error}");
}

#[test]
fn tls_needs_an_address_and_one_certificate() {
    let resolved = |arguments: &[&str], text: &str| merge(flags(arguments), file(text));
    let told = |arguments: &[&str]| resolved(arguments, "").unwrap_err().to_string();
    assert_eq!(resolved(&[], "").unwrap().aws_tls, None);

    let listen = "--aws-tls-listen=127.0.0.1:4568";
    let own = resolved(&[listen, "--aws-tls-self-signed"], "").unwrap().aws_tls.unwrap();
    assert_eq!(own.listen, "127.0.0.1:4568".parse().unwrap());
    assert_eq!((own.host.as_str(), own.certificate), ("127.0.0.1", Certificate::SelfSigned));
    let text = "aws-tls-certificate = \"c.pem\"\naws-tls-key = \"k.pem\"\n";
    let files = resolved(&[listen], text).unwrap().aws_tls.unwrap();
    let (certificate, key) = ("c.pem".into(), "k.pem".into());
    assert_eq!(files.certificate, Certificate::Files { certificate, key });

    assert!(told(&[listen]).contains("needs a certificate"));
    assert!(told(&["--aws-tls-self-signed"]).contains("without aws-tls-listen"));
    assert!(told(&[listen, "--aws-tls-key=k"]).contains("need each other"));
    assert!(
        told(&[listen, "--aws-tls-key=k", "--aws-tls-self-signed"]).contains("need each other")
    );
    let both = [listen, "--aws-tls-certificate=c", "--aws-tls-key=k", "--aws-tls-self-signed"];
    assert!(told(&both).contains("exclude each other"));
}

#[test]
fn credentials_are_a_file() {
    let credentials =
        |arguments: &[&str], text: &str| merge(flags(arguments), file(text)).unwrap().credentials;
    assert_eq!(credentials(&[], ""), None);
    assert_eq!(credentials(&["--credentials", "/a"], "credentials = \"/b\"\n"), Some("/a".into()));
    assert_eq!(credentials(&[], "credentials = \"/b\"\n"), Some("/b".into()));
}
