//! The OAuth2 half of a plant: authorization server, resource server, and tokens as log-in to the broker.

use crate::broker_auth::{Judge, Login, TokenLogin};
use crate::ca::Identity;
use crate::events::{Event, Events};
use crate::http::{Delivery, HttpRequest};
use crate::oauth::resource::{ResourceOptions, ResourceServer};
use crate::oauth::verify::Verifier;
use crate::oauth::{AuthOptions, AuthServer, split};
use crate::server::{ClientAuth, HttpsServer, WallClock, tls_config};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Api {
    server: Arc<Mutex<ResourceServer>>,
    https: HttpsServer,
}

/// Both servers, running; they end when dropped.
pub(crate) struct PlantOAuth {
    auth: Arc<Mutex<AuthServer>>,
    https: HttpsServer,
    api: Option<Api>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A URL with a port, if it has none.
fn with_port(url: &str, port: u16) -> String {
    let (origin, path) = split(url);
    let host = origin.rsplit_once("://").map_or(origin, |(_, host)| host);
    if host.contains(':') { url.into() } else { format!("{origin}:{port}{path}") }
}

impl PlantOAuth {
    pub(crate) fn start(
        identity: &Identity,
        auth: AuthOptions,
        resource: Option<ResourceOptions>,
        framing: Delivery,
        clock: &WallClock,
        events: &Events,
    ) -> Self {
        let tls = tls_config(identity, &[], ClientAuth::Unjudged, clock);
        let auth = Arc::new(Mutex::new(AuthServer::new(auth)));
        let (server, time, log) = (auth.clone(), clock.clone(), events.clone());
        let handler = move |client: Option<&[u8]>, request: &HttpRequest| {
            let mut server = locked(&server);
            let before = server.issued().len();
            let response = server.handle(time(), client, request);
            let issued = server.issued().get(before).map(|issued| issued.expires - issued.at);
            if let Some(served) = server.served().last().cloned() {
                log.push(match served.grant {
                    Some(grant) => Event::Token {
                        grant,
                        client: served.client,
                        status: served.status,
                        error: served.error,
                        request_octets: served.request_octets,
                        reply_octets: served.reply_octets,
                        lifetime: issued,
                    },
                    None => Event::Authorization {
                        request: served.request,
                        client: served.client,
                        request_octets: served.request_octets,
                        status: served.status,
                        reply_octets: served.reply_octets,
                    },
                });
            }
            response
        };
        let https = HttpsServer::start(tls.clone(), framing, events.clone(), Arc::new(Mutex::new(handler)));
        {
            let options = &mut locked(&auth).options;
            options.issuer = with_port(&options.issuer, https.port());
            options.mtls_base = options.mtls_base.as_ref().map(|base| with_port(base, https.port()));
        }
        let api = resource.map(|options| {
            let server = Arc::new(Mutex::new(ResourceServer::new(options)));
            let (shared, issuer, time, log) = (server.clone(), auth.clone(), clock.clone(), events.clone());
            let handler = move |client: Option<&[u8]>, request: &HttpRequest| {
                let response = locked(&shared).handle(time(), client, request, &locked(&issuer));
                let scheme = request.header("Authorization").and_then(|value| value.split(' ').next());
                log.push(Event::Resource {
                    request: format!("{} {}", request.method, request.path),
                    scheme: scheme.map(str::to_owned),
                    request_octets: request.body.len(),
                    status: response.status,
                    reply_octets: response.body.len(),
                });
                response
            };
            let https = HttpsServer::start(tls, framing, events.clone(), Arc::new(Mutex::new(handler)));
            let url = &mut locked(&server).options.url;
            *url = with_port(url, https.port());
            Api { server: server.clone(), https }
        });
        Self { auth, https, api }
    }

    pub(crate) fn auth(&self) -> MutexGuard<'_, AuthServer> {
        locked(&self.auth)
    }

    pub(crate) fn auth_port(&self) -> u16 {
        self.https.port()
    }

    fn api(&self) -> &Api {
        self.api.as_ref().expect("a plant with PlantOptions::resource")
    }

    pub(crate) fn resource(&self) -> MutexGuard<'_, ResourceServer> {
        locked(&self.api().server)
    }

    pub(crate) fn resource_port(&self) -> u16 {
        self.api().https.port()
    }
}

/// How clients of the broker log in. It asks the authorization server for its keys, as over a key set that is never old.
pub(crate) fn login(
    options: Option<TokenLogin>,
    oauth: Option<&PlantOAuth>,
    clock: &WallClock,
) -> Result<Login, String> {
    let Some(options) = options else { return Ok(Login::certificates(clock)) };
    let auth = oauth.ok_or("PlantOptions::token_login needs PlantOptions::auth")?.auth.clone();
    let audience = options.audience.clone();
    let judge: Judge = Arc::new(move |now, token| {
        let verifier = {
            let auth = locked(&auth);
            Verifier { issuer: auth.options.issuer.clone(), keys: auth.public_keys(), audience: audience.clone() }
        };
        verifier.verify(now, token)
    });
    Ok(Login::tokens(options, judge, clock))
}
