//! One order, from the account to the certificate (RFC 8555 section 7.1).

use std::time::Duration;

use instant_acme::{
    Account, AccountBuilder, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error,
    Identifier, KeyAuthorization, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::sign::CertifiedKey;

use super::{AcmeConfig, AcmeError, store, transport};
use crate::tls::Challenges;

/// For the authority to look at a proof, and for it to sign.
const PATIENCE: Duration = Duration::from_mins(2);

/// How the authority sees that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// By a certificate at port 443 (RFC 8737).
    Certificate,
    /// By a file at port 80 (RFC 8555 section 8.3).
    File,
}

impl Proof {
    /// The port of TLS is what the certificate is for; when that fails, something before it may end TLS, and the other port is tried.
    pub(super) fn of_attempt(failures: u32, has_plain: bool) -> Self {
        if has_plain && failures % 2 == 1 {
            Self::File
        } else {
            Self::Certificate
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "tls-alpn-01",
            Self::File => "http-01",
        }
    }

    fn kind(self) -> ChallengeType {
        match self {
            Self::Certificate => ChallengeType::TlsAlpn01,
            Self::File => ChallengeType::Http01,
        }
    }
}

/// Gets a certificate: PEM of its private key and its chain. What is offered as proof stays in `challenges`.
pub(super) async fn order(
    config: &AcmeConfig,
    proof: Proof,
    challenges: &Challenges,
) -> Result<String, AcmeError> {
    let identifiers: Vec<_> = config.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = begin(config, &NewOrder::new(&identifiers)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let authorization = authorization.map_err(|source| failed("say what it wants", source))?;
        prove(authorization, proof, challenges).await?;
    }
    let retries = RetryPolicy::new().timeout(PATIENCE);
    match order.poll_ready(&retries).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(Error::Api(_)) => return Err(invalid(&mut order, proof).await),
        Err(source) => return Err(failed("validate the names", source)),
    }
    let (key, request) = request(config).map_err(AcmeError::Certificate)?;
    let asked = order.finalize_csr(&request).await;
    asked.map_err(|source| failed("take the request", source))?;
    let chain = order.poll_certificate(&retries).await;
    let chain = chain.map_err(|source| failed("issue the certificate", source))?;
    Ok(format!("{key}{chain}"))
}

fn failed(what: &'static str, source: Error) -> AcmeError {
    AcmeError::Protocol { what, source }
}

/// An authority may have forgotten the account; then another one is made.
async fn begin(config: &AcmeConfig, new: &NewOrder<'_>) -> Result<Order, AcmeError> {
    const FORGOTTEN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
    let ordered = match account(config).await?.new_order(new).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(FORGOTTEN) => {
            store::forget_account(config)?;
            account(config).await?.new_order(new).await
        }
        ordered => ordered,
    };
    ordered.map_err(|source| failed("take the order", source))
}

/// The account of the store, or a new one.
async fn account(config: &AcmeConfig) -> Result<Account, AcmeError> {
    let builder = || -> Result<AccountBuilder, AcmeError> {
        let client = transport::client(config.authority.as_deref())?;
        Ok(Account::builder_with_http(client))
    };
    if let Some(kept) = store::account(config)? {
        let account = builder()?.from_credentials(kept).await;
        return account.map_err(|source| failed("answer", source));
    }
    let email = config.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = email.as_deref().into_iter().collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let created = builder()?
        .create(&new, config.directory.clone(), None)
        .await;
    let (account, credentials) = created.map_err(|source| failed("make an account", source))?;
    store::keep_account(config, &credentials)?;
    Ok(account)
}

/// Offers the proof of one name and says that it is there.
async fn prove(
    mut authorization: AuthorizationHandle<'_>,
    proof: Proof,
    challenges: &Challenges,
) -> Result<(), AcmeError> {
    // One that was proved a short time ago counts again.
    if authorization.status == AuthorizationStatus::Valid {
        return Ok(());
    }
    let name = authorization.identifier().to_string();
    let Some(mut challenge) = authorization.challenge(proof.kind()) else {
        let by = proof.name();
        return Err(AcmeError::NoChallenge { name, by });
    };
    let answer = challenge.key_authorization();
    match proof {
        Proof::File => challenges.offer_file(&challenge.token, answer.as_str()),
        Proof::Certificate => {
            let certificate = certificate(&name, &answer)?;
            challenges.offer_certificate(&name, certificate);
        }
    }
    let told = challenge.set_ready().await;
    told.map_err(|source| failed("take the proof", source))
}

/// The certificate that proves a name: signed by itself, with the answer in an extension (RFC 8737 section 3).
fn certificate(name: &str, answer: &KeyAuthorization) -> Result<CertifiedKey, AcmeError> {
    let signed = || {
        let key = KeyPair::generate()?;
        let mut certificate = CertificateParams::new([name.to_owned()])?;
        let digest = answer.digest();
        certificate.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
        Ok((certificate.self_signed(&key)?, key))
    };
    let (certificate, key) = signed().map_err(AcmeError::Certificate)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let chain = vec![certificate.der().clone()];
    // Not `from_der`, which checks the certificate and knows no such extension.
    let key = ring::default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|source| AcmeError::Unusable(source.into()))?;
    Ok(CertifiedKey::new(chain, key))
}

/// A new private key as PEM, and the request for its certificate.
fn request(config: &AcmeConfig) -> Result<(String, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut request = CertificateParams::new(config.names.clone())?;
    request.distinguished_name = DistinguishedName::new();
    let request = request.serialize_request(&key)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

/// Which name could not be validated, and why.
async fn invalid(order: &mut Order, proof: Proof) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let fault = state
            .challenges
            .iter()
            .find_map(|challenge| challenge.error.clone());
        if let Some(source) = fault {
            return AcmeError::Invalid {
                name: state.identifier().to_string(),
                by: proof.name(),
                source,
            };
        }
    }
    failed("validate the names", Error::Str("a reason"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proofs_take_turns_where_both_can_be_given() {
        use Proof::{Certificate, File};
        let proofs = |has_plain| [0, 1, 2].map(|failures| Proof::of_attempt(failures, has_plain));
        assert_eq!(proofs(true), [Certificate, File, Certificate]);
        assert_eq!(proofs(false), [Certificate; 3]);
    }
}
