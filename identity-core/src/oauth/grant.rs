//! Grants: what a token request says beside who the client is.

use super::form::Form;
use super::source::TokenSource;

/// What a [`Grant`] may put into a token request.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The scope asked for; may be empty.
    pub scope: &'a str,
    /// The resources that the token is for (RFC 8707); may be empty.
    pub resource: &'a [&'a str],
    /// The parameter `audience`; see [`super::Source::target`]; may be empty.
    pub target: &'a str,
    /// The refresh token kept from an earlier reply, if the grant keeps any.
    pub refresh: Option<&'a str>,
    /// The device code, once a device authorization was answered (RFC 8628 §3.2).
    pub device_code: Option<&'a str>,
    /// The token of [`Grant::subject`].
    pub subject: Option<&'a str>,
}

impl Context<'_> {
    fn common(&self, form: &mut Form<'_>) {
        form.optional("scope", Some(self.scope));
        for resource in self.resource {
            form.field("resource", resource);
        }
        form.optional("audience", Some(self.target));
    }
}

/// A way to a token: pure functions. Client authentication, DPoP, waiting and keeping are the agent's.
pub trait Grant: Sync {
    /// Writes `grant_type` and what goes with it.
    fn form(&self, context: &Context<'_>, form: &mut Form<'_>);

    /// Whether a person approves first: a device authorization request comes before the token request (RFC 8628).
    fn needs_person(&self) -> bool {
        false
    }

    /// Whether refresh tokens of replies are kept in flash, sealed, and used in place of the grant.
    fn keeps_refresh(&self) -> bool {
        false
    }

    /// Whether the request carries a signed `assertion` (RFC 7523 §2.1), which the agent writes behind the form.
    fn asserts(&self) -> bool {
        false
    }

    /// `sub` of that assertion; none: the client itself.
    fn asserted_subject(&self) -> Option<&'static str> {
        None
    }

    /// The source of a token that is to be exchanged, which is obtained first.
    fn subject(&self) -> Option<&'static dyn TokenSource> {
        None
    }
}

/// Client credentials (RFC 6749 §4.4).
#[derive(Clone, Copy, Debug)]
pub struct ClientCredentialsGrant;

impl Grant for ClientCredentialsGrant {
    fn form(&self, context: &Context<'_>, form: &mut Form<'_>) {
        form.field("grant_type", "client_credentials");
        context.common(form);
    }
}

/// Device authorization grant (RFC 8628), and the refresh token that comes of it (RFC 6749 §6).
#[derive(Clone, Copy, Debug)]
pub struct DeviceGrant;

impl Grant for DeviceGrant {
    fn form(&self, context: &Context<'_>, form: &mut Form<'_>) {
        match (context.refresh, context.device_code) {
            (Some(refresh), _) => {
                form.field("grant_type", "refresh_token").field("refresh_token", refresh);
                context.common(form);
            }
            // §3.4: the scope was given with the authorization request
            (None, Some(code)) => {
                form.field("grant_type", "urn:ietf:params:oauth:grant-type:device_code").field("device_code", code);
            }
            // the device authorization request itself, §3.1
            (None, None) => context.common(form),
        }
    }

    fn needs_person(&self) -> bool {
        true
    }

    fn keeps_refresh(&self) -> bool {
        true
    }
}

/// JWT bearer grant (RFC 7523 §2.1).
#[derive(Clone, Copy, Debug)]
pub struct JwtBearerGrant {
    /// Whom the token is for, `sub` of the assertion; none: the client itself.
    pub subject: Option<&'static str>,
}

impl Grant for JwtBearerGrant {
    fn form(&self, context: &Context<'_>, form: &mut Form<'_>) {
        form.field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        context.common(form);
    }

    fn asserts(&self) -> bool {
        true
    }

    fn asserted_subject(&self) -> Option<&'static str> {
        self.subject
    }
}

/// Token exchange (RFC 8693 §2.1): delegated credentials for a broker or API.
#[derive(Clone, Copy)]
pub struct TokenExchangeGrant {
    /// Where the token to be exchanged comes from. It may not itself be an exchange.
    pub subject: &'static dyn TokenSource,
    /// Logical name of the service that the new token is for; may be empty.
    pub audience: &'static str,
}

impl Grant for TokenExchangeGrant {
    fn form(&self, context: &Context<'_>, form: &mut Form<'_>) {
        form.field("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
            .optional("subject_token", context.subject)
            .field("subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
            .optional("audience", Some(self.audience));
        context.common(form);
    }

    fn subject(&self) -> Option<&'static dyn TokenSource> {
        Some(self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'_> = Context {
        scope: "a b",
        resource: &["https://x.example"],
        target: "",
        refresh: None,
        device_code: None,
        subject: None,
    };

    fn form_of(grant: &dyn Grant, context: &Context<'_>) -> std::string::String {
        let mut buffer = [0; 512];
        let mut form = Form::new(&mut buffer);
        grant.form(context, &mut form);
        let length = form.finish().unwrap();
        std::string::String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn each_grant_says_what_its_rfc_wants() {
        let common = "scope=a+b&resource=https%3A%2F%2Fx.example";
        let form = form_of(&ClientCredentialsGrant, &CONTEXT);
        assert_eq!(form, std::format!("grant_type=client_credentials&{common}"));
        assert_eq!(form_of(&DeviceGrant, &CONTEXT), common);
        let named = Context { resource: &[], target: "https://api.x.example/", ..CONTEXT };
        let audience = "scope=a+b&audience=https%3A%2F%2Fapi.x.example%2F";
        assert_eq!(form_of(&DeviceGrant, &named), audience);
        let form = form_of(&ClientCredentialsGrant, &named);
        assert_eq!(form, std::format!("grant_type=client_credentials&{audience}"));
        let code = Context { device_code: Some("c/d"), ..CONTEXT };
        let device = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=c%2Fd";
        assert_eq!(form_of(&DeviceGrant, &code), device);
        let refresh = Context { refresh: Some("r"), ..code };
        let wanted = std::format!("grant_type=refresh_token&refresh_token=r&{common}");
        assert_eq!(form_of(&DeviceGrant, &refresh), wanted);
        let form = form_of(&JwtBearerGrant { subject: None }, &CONTEXT);
        assert_eq!(form, std::format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&{common}"));
        static SUBJECT: crate::oauth::ClientCredentials = crate::oauth::ClientCredentials::DEFAULT;
        let exchange = TokenExchangeGrant { subject: &SUBJECT, audience: "broker" };
        let form = form_of(&exchange, &Context { subject: Some("t"), resource: &[], scope: "", ..CONTEXT });
        let types = "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
        assert_eq!(form, std::format!("{grant}&subject_token=t&{types}&audience=broker"));
    }
}
