use super::*;

fn identity() -> Identity {
    Identity::generate(SystemTime::now()).unwrap()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn ours_is_in_order_for_ten_years_and_can_be_stored() {
    let (now, ours) = (SystemTime::now(), identity());
    let year = Duration::from_secs(365 * 86_400);
    assert_eq!(check(ours.certificate(), Some(ours.fingerprint()), seconds(now)), Ok(()));
    assert_eq!(check(ours.certificate(), None, seconds(now + 9 * year)), Ok(()));
    assert_eq!(check(ours.certificate(), None, seconds(now + 11 * year)), Err(CertificateFault::Expired));
    assert_eq!(check(ours.certificate(), None, seconds(now - year)), Err(CertificateFault::NotYetValid));
    let stored = Identity::load(ours.certificate().to_vec(), ours.key().clone(), now).unwrap();
    assert_eq!(stored.fingerprint(), ours.fingerprint());
    assert!(ours.fingerprint().is_hash());
    let other = Identity::load(ours.certificate().to_vec(), identity().key().clone(), now);
    assert!(matches!(other, Err(IdentityError::Damaged(_))), "{other:?}");
}

#[test]
fn another_and_a_damaged_certificate_are_refused() {
    let (now, ours) = (seconds(SystemTime::now()), identity());
    let other = identity();
    let fault = check(ours.certificate(), Some(other.fingerprint()), now).unwrap_err();
    assert!(matches!(fault, CertificateFault::Other { .. }), "{fault}");
    let mut damaged = ours.certificate().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(check(&damaged, None, now), Err(CertificateFault::Signature));
    assert_eq!(check(&damaged[1..], None, now), Err(CertificateFault::Unreadable));
    assert_eq!(check(&vec![0x30; MAX_CERTIFICATE + 1], None, now), Err(CertificateFault::Unreadable));
}

#[test]
fn fingerprints_compare_without_regard_to_case() {
    let ours = identity();
    assert_eq!(Fingerprint::parse(&ours.fingerprint().as_str().to_lowercase()).as_ref(), Some(ours.fingerprint()));
    assert_eq!(Fingerprint::parse("with space"), None);
    assert_eq!(Fingerprint::parse(""), None);
}
