use super::*;

const US: Addr = Addr::v4([192, 168, 0, 1]);
const PEER: Addr = Addr::v4([192, 0, 2, 1]);
const ON: FastOpen = FastOpen {
    client: true,
    client_without_cookie: false,
    server_pending_max: 10,
    server_without_cookie: false,
    keys: None,
};

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn some_cookie(n: u8) -> FastOpenCookie {
    FastOpenCookie::new(&[n; 8], false).unwrap()
}

const GRANTED: Answer =
    Answer { cookie: None, mss: Some(1000), had_data: false, acknowledged: false, was_repeated: false };

#[test]
fn cookies_are_those_that_linux_makes_from_the_same_key() {
    let baker = CookieBaker::new([1, 2]);
    let primary = [0xa1, 0xa1, 0xa1, 0xa1, 0xb2, 0xb2, 0xb2, 0xb2, 0xc3, 0xc3, 0xc3, 0xc3, 0xd4, 0xd4, 0xd4, 0xd4];
    let config = FastOpen { keys: Some(FastOpenKeys { primary, backup: None }), ..ON };
    assert_eq!(baker.bake(&config, &PEER, &US, at(0)), 0x3021_b9d8_8901_7eeb_u64.to_be_bytes());
    let zero = FastOpen { keys: Some(FastOpenKeys { primary: [0; 16], backup: None }), ..ON };
    assert_eq!(baker.bake(&zero, &PEER, &US, at(0)), 0xb7c1_2350_a90d_c8f5_u64.to_be_bytes());
}

#[test]
fn cookie_is_good_for_one_client_and_one_server_and_until_the_key_after_the_next() {
    let baker = CookieBaker::new([1, 2]);
    let period_s = (1 << PERIOD_SHIFT) / 1_000_000_000;
    for (client, server) in [(PEER, US), (Addr([0x20; 16]), Addr([0x21; 16]))] {
        let cookie = baker.bake(&ON, &client, &server, at(100));
        let judge = |c: &[u8], client, server, s| baker.judge(&ON, c, client, server, at(s));
        assert_eq!(judge(&cookie, &client, &server, 200), Brought::Good);
        assert_eq!(judge(&cookie, &client, &server, 200 + period_s), Brought::Old);
        assert_eq!(judge(&cookie, &client, &server, 200 + 2 * period_s), Brought::Nothing);
        assert_eq!(judge(&cookie, &server, &server, 200), Brought::Nothing);
        assert_eq!(judge(&cookie, &client, &client, 200), Brought::Nothing);
        assert_eq!(judge(&cookie[..4], &client, &server, 200), Brought::Nothing);
        assert_eq!(judge(&[], &client, &server, 200), Brought::Nothing);
        assert_eq!(CookieBaker::new([1, 3]).judge(&ON, &cookie, &client, &server, at(200)), Brought::Nothing);
    }
}

#[test]
fn key_that_was_set_stays_and_its_forerunner_still_counts() {
    let baker = CookieBaker::new([1, 2]);
    let with = |primary, backup| FastOpen { keys: Some(FastOpenKeys { primary, backup }), ..ON };
    let cookie = baker.bake(&with([7; 16], None), &PEER, &US, at(1));
    let judge = |config: &FastOpen| baker.judge(config, &cookie, &PEER, &US, at(1_000_000));
    assert_eq!(judge(&with([7; 16], None)), Brought::Good);
    assert_eq!(judge(&with([8; 16], Some([7; 16]))), Brought::Old);
    assert_eq!(judge(&with([8; 16], None)), Brought::Nothing);
}

#[test]
fn client_asks_for_a_cookie_and_then_sends_data_with_it() {
    let mut cache = CookieCache::default();
    let first = cache.opening(&ON, US, PEER, 1460, at(1)).unwrap();
    assert_eq!(first, Opening { option: Some(FastOpenCookie::request(false)), room: 0 });
    cache.learn(US, PEER, &first, &Answer { cookie: Some(some_cookie(1)), ..GRANTED }, at(2));
    let second = cache.opening(&ON, US, PEER, 1460, at(3));
    assert_eq!(second, Some(Opening { option: Some(some_cookie(1)), room: 960 }));
    // It is the server's for this address of ours, and nobody else's.
    assert_eq!(cache.opening(&ON, PEER, US, 1460, at(3)), Some(first));
    assert_eq!(cache.opening(&FastOpen::default(), US, PEER, 1460, at(3)), None);
}

#[test]
fn server_that_does_not_answer_the_option_is_asked_once_with_the_older_one() {
    let mut cache = CookieCache::default();
    let experimental: Vec<bool> = (0..5)
        .map(|n| {
            let opening = cache.opening(&ON, US, PEER, 1460, at(n)).unwrap();
            cache.learn(US, PEER, &opening, &GRANTED, at(n));
            opening.option.unwrap().experimental
        })
        .collect();
    assert_eq!(experimental, [false, true, false, false, false]);
}

#[test]
fn path_that_loses_syns_with_data_is_left_alone_for_longer_and_longer() {
    let mut cache = CookieCache::default();
    let opening = Opening { option: Some(some_cookie(1)), room: 960 };
    let lost = Answer { had_data: true, was_repeated: true, ..GRANTED };
    cache.learn(US, PEER, &opening, &lost, at(0));
    assert!(cache.opening(&ON, US, PEER, 1460, at(0)).is_some(), "once may be chance");
    for (now, again) in [(10, 130), (200, 440)] {
        cache.learn(US, PEER, &opening, &lost, at(now));
        assert!(cache.opening(&ON, US, PEER, 1460, at(again - 1)).is_none());
        assert!(cache.opening(&ON, US, PEER, 1460, at(again)).is_some());
    }
    cache.unanswered(US, PEER, at(1000));
    assert!(cache.opening(&ON, US, PEER, 1460, at(1479)).is_none());
    cache.learn(US, PEER, &opening, &Answer { acknowledged: true, ..GRANTED }, at(1500));
    assert!(cache.opening(&ON, US, PEER, 1460, at(1500)).is_some());
}

#[test]
fn cache_is_bounded_and_forgets_the_oldest() {
    let mut cache = CookieCache::default();
    let peer = |n: u32| Addr::v4(n.to_be_bytes());
    let opening = Opening { option: Some(FastOpenCookie::request(false)), room: 0 };
    for n in 0..CACHE_LIMIT as u32 + 5 {
        cache.learn(US, peer(n), &opening, &Answer { cookie: Some(some_cookie(2)), ..GRANTED }, at(0));
    }
    assert_eq!((cache.known.len(), cache.order.len()), (CACHE_LIMIT, CACHE_LIMIT));
    let has = |n| cache.opening(&ON, US, peer(n), 1460, at(1)).unwrap().room > 0;
    assert!(!has(0) && !has(4) && has(5));
}
