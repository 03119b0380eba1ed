//! A client that shares no code with the servers it judges: signatures by p256, hashes by ring.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use host_tests::http::{HttpRequest, HttpResponse};
use host_tests::oauth::{AuthOptions, AuthServer};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://id.plant.example/pumps";
pub(crate) const TOKEN: &str = "https://id.plant.example/pumps/token";
pub(crate) const START: u64 = 1_800_000_000;
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(crate) const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn sha256(octets: &[u8]) -> String {
    BASE64URL_NOPAD.encode(ring::digest::digest(&ring::digest::SHA256, octets).as_ref())
}

pub(crate) fn unique() -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!("identifier-{:016}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

fn encode(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// A key pair.
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new() -> Self {
        Self(SigningKey::random(&mut rand_core::OsRng))
    }

    pub(crate) fn of_pkcs8(pkcs8: &[u8]) -> Self {
        let key = host_tests::key::Key::p256_from_pkcs8(pkcs8).expect("a P-256 key");
        // PKCS#8 of ring: the private scalar is the first OCTET STRING of 32 octets
        let at = key.pkcs8().windows(2).position(|two| two == [4, 32]).expect("a scalar") + 2;
        Self(SigningKey::from_slice(&key.pkcs8()[at..at + 32]).expect("a scalar"))
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.verifying_key().to_encoded_point(false);
        let part = |octets: Option<&p256::FieldBytes>| BASE64URL_NOPAD.encode(octets.expect("uncompressed"));
        json!({ "kty": "EC", "crv": "P-256", "x": part(point.x()), "y": part(point.y()) })
    }

    /// Written out by hand, in the order of RFC 7638.
    pub(crate) fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        sha256(format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{},\"y\":{}}}", jwk["x"], jwk["y"]).as_bytes())
    }

    pub(crate) fn jws(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature: Signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature.to_bytes()))
    }

    /// A DPoP proof, changed by `change`.
    pub(crate) fn proof_with(
        &self,
        now: u64,
        method: &str,
        url: &str,
        change: impl Fn(&mut Value, &mut Value),
    ) -> String {
        let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() });
        let mut claims = json!({ "jti": unique(), "htm": method, "htu": url, "iat": now });
        change(&mut header, &mut claims);
        self.jws(&header, &claims)
    }

    pub(crate) fn proof(&self, now: u64, nonce: Option<&str>) -> String {
        self.proof_with(now, "POST", TOKEN, |_, claims| {
            if let Some(nonce) = nonce {
                claims["nonce"] = nonce.into();
            }
        })
    }
}

pub(crate) fn hs256(secret: &str, header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(ring::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// Claims of a JWT whose signature is by a key of the server's key set.
pub(crate) fn verified(server: &mut AuthServer, jwt: &str) -> Value {
    use p256::ecdsa::signature::Verifier;
    let keys = server.handle(START, None, &HttpRequest::get("/pumps/jwks"));
    let keys: Value = serde_json::from_slice(&keys.body).unwrap();
    let parts: Vec<&str> = jwt.split('.').collect();
    let part = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap();
    let header: Value = serde_json::from_slice(&part(parts[0])).unwrap();
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).expect("its key");
    let coordinate = |name: &str| part(key[name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
    let signature = Signature::from_slice(&part(parts[2])).unwrap();
    key.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).expect("the server's signature");
    serde_json::from_slice(&part(parts[1])).unwrap()
}

/// application/x-www-form-urlencoded, everything but letters and digits encoded.
pub(crate) fn escape(text: &str) -> String {
    let one = |octet: u8| {
        if octet.is_ascii_alphanumeric() { char::from(octet).to_string() } else { format!("%{octet:02X}") }
    };
    text.bytes().map(one).collect()
}

pub(crate) fn form(path: &str, pairs: &[(&str, &str)]) -> HttpRequest {
    let body: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    HttpRequest::post(path, "application/x-www-form-urlencoded", body.join("&"))
}

pub(crate) fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{}:{}", escape(id), escape(secret)).as_bytes()))
}

/// A server, the time, and the client certificate shown.
pub(crate) struct Bench {
    pub(crate) server: AuthServer,
    pub(crate) now: u64,
    pub(crate) certificate: Option<Vec<u8>>,
}

/// A reply with its JSON.
pub(crate) struct Reply {
    pub(crate) response: HttpResponse,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.response.status
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.json[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.json)).to_owned()
    }

    /// Checks form (RFC 6749 §5.2) and code of an error reply.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status(), &self.json["error"]), (status, &json!(error)), "{}", self.json);
        assert_eq!(self.response.header("Content-Type"), Some("application/json"));
        assert_eq!(self.response.header("Cache-Control"), Some("no-store"));
        assert!(!self.text("error_description").is_empty());
        assert_eq!(status == 401, self.response.header("WWW-Authenticate").is_some());
    }

    #[track_caller]
    pub(crate) fn granted(self) -> Self {
        assert_eq!(self.status(), 200, "{}", self.json);
        assert_eq!(self.response.header("Cache-Control"), Some("no-store"));
        self
    }
}

impl Bench {
    pub(crate) fn new(options: AuthOptions) -> Self {
        let server = AuthServer::new(AuthOptions { issuer: ISSUER.into(), ..options });
        Self { server, now: START, certificate: None }
    }

    pub(crate) fn send(&mut self, request: &HttpRequest) -> Reply {
        let response = self.server.handle(self.now, self.certificate.as_deref(), request);
        let json = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        Reply { response, json }
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(&HttpRequest::get(path))
    }

    pub(crate) fn token(&mut self, pairs: &[(&str, &str)]) -> Reply {
        self.send(&form("/pumps/token", pairs))
    }

    /// Client credentials for `mqtt:publish` with these parameters besides.
    pub(crate) fn credentials(&mut self, pairs: &[(&str, &str)]) -> Reply {
        let all = [&[("grant_type", "client_credentials"), ("scope", "mqtt:publish")], pairs].concat();
        self.token(&all)
    }

    /// The same by secret, with a DPoP proof.
    pub(crate) fn with_proof(&mut self, proof: &str) -> Reply {
        let pairs = [("grant_type", "client_credentials"), ("scope", "mqtt:publish")];
        let request = form("/pumps/token", &pairs).with("Authorization", &basic("pump-7", "secret"));
        self.send(&request.with("DPoP", proof))
    }

    /// Claims of a client assertion, good now.
    pub(crate) fn assertion(&self, id: &str) -> Value {
        json!({ "iss": id, "sub": id, "aud": ISSUER, "jti": unique(), "iat": self.now, "exp": self.now + 60 })
    }
}
