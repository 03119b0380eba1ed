//! The device grant (RFC 8628): codes for device and person, the person's page, the polls.

use crate::http::HttpResponse;
use crate::oauth::client::{Client, DEVICE_CODE};
use crate::oauth::form::Form;
use crate::oauth::problem::{Problem, reply};
use crate::oauth::random;
use crate::oauth::server::{Ask, AuthServer};
use crate::oauth::tokens::{Binding, Granted};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    None,
    Approved,
    Denied,
}

/// A device that waits for a person.
#[derive(Clone, Debug)]
pub(crate) struct DeviceFlow {
    device_code: String,
    user_code: String,
    granted: Granted,
    expires: u64,
    interval: u64,
    polled: Option<u64>,
    verdict: Verdict,
    jkt: Option<String>,
}

/// RFC 8628 §6.1: letters that are not mistaken for another and make no words.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

fn user_code() -> String {
    let octets = random(8).into_bytes();
    let letter = |octet: &u8| char::from(LETTERS[usize::from(*octet) % LETTERS.len()]);
    let code: String = octets.iter().take(8).map(letter).collect();
    format!("{}-{}", &code[..4], &code[4..])
}

impl AuthServer {
    /// RFC 8628 §3.1, §3.2. With `dpop_jkt` (RFC 9449 §10) the token can be had with that key only.
    pub(crate) fn authorize_device(&mut self, ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
        ask.form = Form::read(ask.request)?;
        let client = self.authenticate(ask)?;
        if !client.grants.iter().any(|grant| grant == DEVICE_CODE) {
            return Err(Problem::new("unauthorized_client", "the client may not use the device grant"));
        }
        let granted = self.grant(ask, &client, &client.id, Binding::default())?;
        let options = self.options.device;
        let flow = DeviceFlow {
            device_code: random(32),
            user_code: user_code(),
            granted: Granted { grant: DEVICE_CODE.into(), ..granted },
            expires: ask.now + options.lifetime,
            interval: options.interval.unwrap_or(5),
            polled: None,
            verdict: Verdict::None,
            jkt: ask.form.get("dpop_jkt").map(str::to_owned),
        };
        let page = format!("{}/device", self.options.issuer.trim_end_matches('/'));
        let mut body = json!({
            "device_code": flow.device_code, "user_code": flow.user_code,
            "verification_uri": page, "expires_in": options.lifetime,
        });
        if options.complete {
            body["verification_uri_complete"] = format!("{page}?user_code={}", flow.user_code).into();
        }
        if let Some(interval) = options.interval {
            body["interval"] = interval.into();
        }
        self.devices.retain(|flow| flow.expires + 3600 > ask.now);
        self.devices.push(flow);
        Ok(reply(200, &body))
    }

    /// User codes that wait for a person, oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        let waiting = self.devices.iter().filter(|flow| flow.verdict == Verdict::None);
        waiting.map(|flow| flow.user_code.clone()).collect()
    }

    /// A person approves the device with that code in the name of `subject`. False if nobody waits with it.
    pub fn approve(&mut self, user_code: &str, subject: &str) -> bool {
        self.judge_device(user_code, Verdict::Approved, Some(subject))
    }

    /// A person denies the device with that code. False if nobody waits with it.
    pub fn deny(&mut self, user_code: &str) -> bool {
        self.judge_device(user_code, Verdict::Denied, None)
    }

    fn judge_device(&mut self, code: &str, verdict: Verdict, subject: Option<&str>) -> bool {
        // RFC 8628 §6.1: case and punctuation do not matter
        let letters = |code: &str| code.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_uppercase();
        let waits = |flow: &&mut DeviceFlow| flow.verdict == Verdict::None && letters(&flow.user_code) == letters(code);
        let Some(flow) = self.devices.iter_mut().find(waits) else { return false };
        flow.verdict = verdict;
        if let Some(subject) = subject {
            flow.granted.subject = subject.into();
        }
        true
    }

    /// The page for the person (RFC 8628 §3.3), without log-in: GET shows it, POST of `user_code` and `verdict` decides.
    pub(crate) fn verification(&mut self, ask: &mut Ask<'_>) -> Result<HttpResponse, Problem> {
        let html = |body: String| {
            HttpResponse { status: 200, body: body.into_bytes(), ..HttpResponse::default() }
                .with("Content-Type", "text/html; charset=utf-8")
        };
        if ask.request.method == "GET" {
            let code = ask.request.path.split_once("user_code=").map_or("", |(_, code)| code);
            let code: String = code.chars().filter(|c| c.is_ascii_alphabetic() || *c == '-').collect();
            return Ok(html(format!(
                "<form method=\"post\" action=\"device\"><input name=\"user_code\" value=\"{code}\">\
                 <button name=\"verdict\" value=\"approve\">Approve</button>\
                 <button name=\"verdict\" value=\"deny\">Deny</button></form>\n"
            )));
        }
        ask.form = Form::read(ask.request)?;
        let code = ask.form.need("user_code")?;
        let known = match ask.form.need("verdict")? {
            "approve" => self.approve(code, "person"),
            _ => self.deny(code),
        };
        if known { Ok(html("Done.\n".into())) } else { Err(Problem::request("no device waits with this code")) }
    }

    /// A poll (RFC 8628 §3.4, §3.5). The code dies with the token.
    pub(crate) fn redeem_device(
        &mut self,
        ask: &Ask<'_>,
        client: &Client,
        jkt: Option<&str>,
    ) -> Result<Granted, Problem> {
        let code = ask.form.need("device_code")?;
        let index = self.devices.iter().position(|flow| flow.device_code == code);
        let index = index.ok_or_else(|| Problem::grant("the device code is unknown or was used"))?;
        let flow = &mut self.devices[index];
        if flow.granted.client != client.id {
            return Err(Problem::grant("the device code is another client's"));
        }
        if flow.expires <= ask.now {
            return Err(Problem::new("expired_token", "ask for a new device code"));
        }
        let early = flow.polled.is_some_and(|last| ask.now < last + flow.interval);
        flow.polled = Some(ask.now);
        if early {
            flow.interval += 5;
            return Err(Problem::new("slow_down", format!("the interval is {} s now", flow.interval)));
        }
        match flow.verdict {
            Verdict::None => Err(Problem::new("authorization_pending", "nobody has approved yet")),
            Verdict::Denied => Err(Problem::new("access_denied", "a person said no")),
            Verdict::Approved if flow.jkt.is_some() && flow.jkt.as_deref() != jkt => {
                Err(Problem::new("invalid_dpop_proof", "the code is bound to another key by dpop_jkt"))
            }
            Verdict::Approved => Ok(self.devices.remove(index).granted),
        }
    }
}
