//! The way of one order: the name is proven, the key made, the certificate fetched.
//!
//! Tries nothing twice: when it failed is for others to decide.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use secrecy::{ExposeSecret, SecretString};

use super::authority::Failure;
use super::proofs::Proofs;

/// An authority looks from several places, one after the other.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_mins(2));

/// The chain and its key, in PEM.
pub(super) async fn order(
    account: &Account,
    domain: &str,
    by_tls: bool,
    proofs: &Arc<Proofs>,
) -> Result<SecretString, Failure> {
    let identifiers = [Identifier::Dns(domain.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let mut laid = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let kind = if by_tls {
            ChallengeType::TlsAlpn01
        } else {
            ChallengeType::Http01
        };
        let Some(mut challenge) = authorization.challenge(kind) else {
            return Err(Failure::not_offered(by_tls));
        };
        let answer = challenge.key_authorization();
        laid.push(if by_tls {
            proofs.lay_certificate(domain, answer.digest().as_ref())?
        } else {
            proofs.lay_text(&challenge.token, answer.as_str())
        });
        challenge.set_ready().await?;
    }
    match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(Error::Api(_)) => return Err(why_invalid(&mut order).await),
        Err(error) => return Err(error.into()),
    }
    drop(laid);
    let key = SecretString::from(order.finalize().await?);
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(joined(&chain, &key))
}

fn joined(chain: &str, key: &SecretString) -> SecretString {
    format!("{}\n{}", chain.trim_end(), key.expose_secret()).into()
}

/// What the authority has found where it looked.
async fn why_invalid(order: &mut Order) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        // What is held is from before the authority has looked.
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let mut errors = state.challenges.iter().filter_map(|one| one.error.clone());
        if let Some(problem) = errors.next_back() {
            return Error::Api(problem).into();
        }
    }
    Failure::own("the authority has refused the order and does not say why")
}
