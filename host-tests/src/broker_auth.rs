//! How a client of the broker logs in, and what it may do then: by certificate, or by access token, as MQTT password or
//! by enhanced authentication (MQTT 5 §4.12).

use crate::ca::common_name_of;
use crate::mqtt_auth::{Auth, RE_AUTHENTICATE, SUCCESS};
use crate::mqtt_wire::{Connect, Outgoing};
use crate::oauth::jwk::thumbprint;
use crate::oauth::verify::Verified;
use crate::server::WallClock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Certificate name that may publish and subscribe everywhere. Any other only below `devices/<its name>/`.
pub const OBSERVER: &str = "observer";

/// What a scope allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
}

/// What the bearer of a scope may do, to topics under a filter; `{sub}` in it stands for the token's subject.
#[derive(Clone, Debug)]
pub struct Permission {
    /// The scope.
    pub scope: String,
    /// What it allows.
    pub action: Action,
    /// To which topics.
    pub filter: String,
}

/// How log-in by access token is set up.
#[derive(Clone, Debug)]
pub struct TokenLogin {
    /// What `aud` must hold.
    pub audience: String,
    /// The MQTT user name; any if none.
    pub user: Option<String>,
    /// Authentication methods of MQTT 5; Azure Event Grid knows the first.
    pub methods: Vec<String>,
    /// What scopes allow.
    pub permissions: Vec<Permission>,
}

impl Default for TokenLogin {
    fn default() -> Self {
        let permission =
            |scope: &str, action| Permission { scope: scope.into(), action, filter: "devices/{sub}/#".into() };
        Self {
            audience: "https://mqtt.plant.example".into(),
            user: None,
            methods: vec!["OAUTH2-JWT".into(), "plant-token".into()],
            permissions: vec![
                permission("mqtt:publish", Action::Publish),
                permission("mqtt:subscribe", Action::Subscribe),
            ],
        }
    }
}

/// What the broker can do wrong at re-authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReauthFault {
    /// DISCONNECT: not authorised.
    Refuse,
    /// No answer.
    Ignore,
}

/// Judges a token at a time in Unix seconds.
pub type Judge = Arc<dyn Fn(u64, &str) -> Result<Verified, String> + Send + Sync>;

/// Log-in of a broker. Clones are the same.
#[derive(Clone)]
pub struct Login {
    options: Option<TokenLogin>,
    judge: Judge,
    pub(crate) clock: WallClock,
    fault: Arc<Mutex<Option<ReauthFault>>>,
}

/// A refusal: what to send, and why.
pub(crate) struct Refused(pub(crate) Outgoing, pub(crate) String);

impl Login {
    /// By certificate only.
    #[must_use]
    pub fn certificates(clock: &WallClock) -> Self {
        let judge: Judge = Arc::new(|_, _| Err("no tokens here".into()));
        Self { options: None, judge, clock: clock.clone(), fault: Arc::default() }
    }

    /// By certificate or by a token that `judge` approves of.
    #[must_use]
    pub fn tokens(options: TokenLogin, judge: Judge, clock: &WallClock) -> Self {
        Self { options: Some(options), judge, clock: clock.clone(), fault: Arc::default() }
    }

    /// Whether clients may come without certificate.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.options.is_some()
    }

    pub(crate) fn set_fault(&self, fault: Option<ReauthFault>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Who connects, and what they may do.
    pub(crate) fn connect(&self, certificate: Option<&[u8]>, connect: &Connect) -> Result<Access, Refused> {
        let refuse = |why: String| Refused(Outgoing::NotAuthorized, why);
        let by_certificate = || {
            let name =
                certificate.and_then(common_name_of).ok_or_else(|| refuse("neither certificate nor token".into()))?;
            Ok(Access { name, ..Access::default() })
        };
        let known = |method: &String| self.options.iter().any(|options| options.methods.contains(method));
        if let Some(method) = connect.method.as_ref().filter(|method| !known(method)) {
            return Err(Refused(Outgoing::BadMethod, format!("authentication method {method}")));
        }
        let Some(options) = &self.options else { return by_certificate() };
        let token = match (&connect.method, &connect.password) {
            (Some(_), _) => connect.data.as_deref().unwrap_or_default(),
            (None, Some(password)) => {
                if options.user.is_some() && options.user != connect.user {
                    return Err(refuse(format!("user name {:?}", connect.user.as_deref().unwrap_or_default())));
                }
                password.as_bytes()
            }
            (None, None) => return by_certificate(),
        };
        let certificate = certificate.map(thumbprint);
        let verified = self.verified(token, certificate.as_deref()).map_err(refuse)?;
        Ok(Access {
            name: verified.subject.clone(),
            token: Some(verified),
            certificate,
            method: connect.method.clone(),
            permissions: options.permissions.clone(),
        })
    }

    /// A token bound to a certificate needs that certificate (RFC 8705 §3); one bound to a DPoP key cannot be used here,
    /// because MQTT carries no proofs (RFC 9449 §7.2).
    fn verified(&self, token: &[u8], certificate: Option<&str>) -> Result<Verified, String> {
        let token = core::str::from_utf8(token).map_err(|_| "the token is not ASCII")?;
        let verified = (self.judge)((self.clock)(), token)?;
        if verified.bound_to("x5t#S256").is_some_and(|bound| certificate != Some(bound)) {
            return Err("the token is bound to another certificate".into());
        }
        if verified.bound_to("jkt").is_some() {
            return Err("the token is bound to a DPoP key".into());
        }
        Ok(verified)
    }

    /// Re-authentication on a live link (§4.12.1): the answer, if there is one.
    pub(crate) fn again(&self, access: &mut Access, auth: &Auth) -> Result<Option<Outgoing>, Refused> {
        let wrong = |why: &str| Refused(Outgoing::ProtocolError, why.into());
        if access.method.is_none() || auth.method != access.method {
            return Err(wrong("re-authentication by another method than CONNECT had"));
        }
        if auth.reason != RE_AUTHENTICATE {
            return Err(wrong("AUTH that is no re-authentication"));
        }
        let refuse = |why: String| Refused(Outgoing::EndNotAuthorized, why);
        match *self.fault.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(ReauthFault::Refuse) => return Err(refuse("injected".into())),
            Some(ReauthFault::Ignore) => return Ok(None),
            None => {}
        }
        let verified = self.verified(auth.data.as_deref().unwrap_or_default(), access.certificate.as_deref());
        let verified = verified.map_err(refuse)?;
        if verified.subject != access.name {
            return Err(refuse(format!("the token is that of {}", verified.subject)));
        }
        access.token = Some(verified);
        Ok(Some(Outgoing::Auth(Auth { reason: SUCCESS, method: access.method.clone(), data: None })))
    }

    /// Returns when the token of `access` has expired.
    pub(crate) async fn expiry(&self, access: &Access) {
        let Some(token) = &access.token else { return core::future::pending().await };
        while (self.clock)() < token.expires {
            // the clock may be a test's own, so nobody can tell when it will be that late
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Who a client is and what it may do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// Common name of its certificate, or subject of its token.
    pub(crate) name: String,
    /// Its authentication method.
    pub(crate) method: Option<String>,
    token: Option<Verified>,
    /// `x5t#S256` of its certificate.
    certificate: Option<String>,
    permissions: Vec<Permission>,
}

impl Access {
    /// Whether it may publish to `topic`.
    pub(crate) fn publish(&self, topic: &str) -> bool {
        self.may(Action::Publish, topic)
    }

    /// Whether it may subscribe to `filter`.
    pub(crate) fn subscribe(&self, filter: &str) -> bool {
        self.may(Action::Subscribe, filter)
    }

    fn may(&self, action: Action, topic: &str) -> bool {
        let Some(token) = &self.token else {
            let below = topic.strip_prefix("devices/").and_then(|rest| rest.split('/').next());
            return self.name == OBSERVER || below == Some(&self.name);
        };
        self.permissions.iter().any(|permission| {
            permission.action == action
                && token.scope.contains(&permission.scope)
                && covers(&permission.filter.replace("{sub}", &token.subject), topic)
        })
    }
}

/// Whether every topic that `wanted`, a topic or a filter, matches is matched by `filter` too (MQTT 5 §4.7.1).
fn covers(filter: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('/');
    for level in filter.split('/') {
        match (level, wanted.next()) {
            ("#", _) => return true,
            (_, None | Some("#")) => return false,
            ("+", Some(_)) => {}
            (level, Some(other)) if level == other => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_covers() {
        for (filter, wanted) in [("a/#", "a/b/c"), ("a/#", "a/#"), ("a/#", "a"), ("a/+/c", "a/b/c"), ("#", "+/+")] {
            assert!(covers(filter, wanted), "{filter} {wanted}");
        }
        for (filter, wanted) in
            [("a/b", "a/#"), ("a/b", "a/+"), ("a/+", "a/#"), ("a/+", "a/b/c"), ("a/b/#", "a/c"), ("a/b", "a")]
        {
            assert!(!covers(filter, wanted), "{filter} {wanted}");
        }
    }
}
