//! The example `device-login`, from its command line: a person approves once, and is not asked after a restart.

use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use host::device_login::{Options, run};
use host_tests::est_options::{EstOptions, Grant};
use host_tests::oauth::client::{DEVICE_CODE, REFRESH_TOKEN};
use host_tests::oauth::{AuthFault, AuthOptions, Client, Credential, Endpoint, InitialToken, Registration};
use host_tests::plant::{Plant, PlantOptions};
use host_tests::scratch::Scratch;
use host_tests::simulator::{SECRET, USER};

/// What lets a device register.
const INITIAL: &str = "let-me-register-once";

fn plant() -> Plant {
    let mut auth = AuthOptions {
        issuer: "https://localhost".into(),
        clients: vec![Client::new("panel", Credential::Public).grants(&[DEVICE_CODE, REFRESH_TOKEN])],
        ..AuthOptions::default()
    };
    auth.device.interval = Some(1);
    auth.registration = Registration::Token(vec![InitialToken { token: INITIAL.into(), uses: 1 }]);
    let est = EstOptions { grants: vec![Grant::basic(USER, SECRET).once()], ..EstOptions::default() };
    Plant::start(PlantOptions { est, auth: Some(auth), ..PlantOptions::default() }).expect("a plant")
}

/// What a user types: with a CA.
fn options(plant: &Plant, root: &Path, folder: &Scratch) -> Options {
    let est = format!("localhost:{}", plant.est_port());
    command_line(plant, root, folder, &[("--client-id", "panel"), ("--est", &est), ("--est-user", USER)])
}

fn command_line(plant: &Plant, root: &Path, folder: &Scratch, more: &[(&str, &str)]) -> Options {
    let issuer = plant.auth().options.issuer.clone();
    let flash = folder.path().join("flash.bin");
    let line = [
        ("--issuer", issuer.as_str()),
        ("--scope", "mqtt:publish"),
        ("--resource", "https://mqtt.plant.example"),
        ("--name", "panel-1"),
        ("--root", root.to_str().expect("a path")),
        ("--flash", flash.to_str().expect("a path")),
    ];
    let line = line.iter().chain(more).flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
    let variable = |name: &str| match name {
        "EST_PASSWORD" => Some(SECRET.to_owned()),
        "INITIAL_ACCESS_TOKEN" => Some(INITIAL.to_owned()),
        _ => None,
    };
    Options::parse(line, variable).expect("a command line").expect("not for help")
}

/// Runs the program while a person looks for a code on the server and judges it; what it printed.
fn login(plant: &Plant, options: &Options, person: impl Fn(&str)) -> String {
    let (options, (print, printed)) = (options.clone(), channel());
    let program = thread::spawn(move || run(&options, |line| print.send(line.to_owned()).expect("a reader")));
    let until = Instant::now() + Duration::from_secs(60);
    while !program.is_finished() && Instant::now() < until {
        // the server is not held while the person thinks
        let waiting = plant.auth().waiting();
        waiting.iter().for_each(|code| person(code));
        thread::sleep(Duration::from_millis(100));
    }
    let lines: Vec<String> = printed.try_iter().collect();
    assert!(program.is_finished(), "the device is not in: {lines:?}");
    program.join().expect("no panic").expect("the device is in");
    lines.join("\n")
}

#[test]
fn a_person_approves_once() {
    let (plant, folder) = (plant(), Scratch::new());
    let pem = data_encoding::BASE64_MIME.encode(plant.root());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n");
    let options = options(&plant, &folder.file("root.pem", pem), &folder);
    let printed = login(&plant, &options, |code| assert!(plant.auth().approve(code, "a person")));
    let issuer = plant.auth().options.issuer.clone();
    assert!(printed.starts_with(&format!("Open {issuer}/device and enter the code ")), "{printed}");
    assert!(printed.contains('▀') && printed.ends_with("The device is in."), "{printed}");

    let before = plant.auth().issued().len();
    let printed = login(&plant, &options, |code| panic!("{code}: nobody is asked after a restart"));
    assert_eq!(printed, "The device is in.");
    assert_eq!(plant.auth().issued().len(), before + 1);
    assert_eq!(plant.est().enrolments().len(), 1);
}

#[test]
fn without_a_ca_the_device_registers_itself_once() {
    let (plant, folder) = (plant(), Scratch::new());
    let options = command_line(&plant, &folder.file("root.der", plant.root()), &folder, &[]);
    let printed = login(&plant, &options, |code| assert!(plant.auth().approve(code, "a person")));
    assert!(printed.contains("/device and enter the code ") && printed.ends_with("The device is in."), "{printed}");
    let printed = login(&plant, &options, |code| panic!("{code}: nobody is asked after a restart"));
    assert_eq!(printed, "The device is in.");
    let auth = plant.auth();
    let registrations = auth.served().iter().filter(|served| served.request == "POST /register").count();
    assert_eq!((registrations, plant.est().enrolments().len()), (1, 0));
}

#[test]
fn what_goes_wrong_is_told_and_tried_again() {
    let (plant, folder) = (plant(), Scratch::new());
    let options = options(&plant, &folder.file("root.der", plant.root()), &folder);
    plant.auth().inject(Endpoint::DeviceAuthorization, AuthFault::Error(500, "server_error"), 1);
    let printed = login(&plant, &options, |code| assert!(plant.auth().approve(code, "a person")));
    assert!(printed.contains("refused with server_error") && printed.contains("(the server says: server_error"));
    assert!(printed.ends_with("The device is in."), "{printed}");
}

#[test]
fn the_command_line_says_what_is_missing() {
    let parse = |line: &str| Options::parse(line.split_whitespace().map(str::to_owned), |_| None);
    let full = "--issuer https://id.example --client-id a --est est.example --est-user b";
    assert!(parse("--help").expect("help").is_none());
    assert!(parse("--issuer https://id.example").expect("a command line").is_some());
    assert_eq!(parse("").unwrap_err(), "--issuer is missing");
    assert_eq!(
        parse("--issuer https://id.example --client-id a").unwrap_err(),
        "--est, --est-user and --client-id go together"
    );
    assert_eq!(parse("--issuer").unwrap_err(), "--issuer has no value");
    assert_eq!(parse("--colour red").unwrap_err(), "unknown option --colour");
    assert_eq!(parse(full).unwrap_err(), "the variable EST_PASSWORD is not set");
}
