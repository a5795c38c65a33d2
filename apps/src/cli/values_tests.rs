use super::*;

#[test]
fn addresses_come_alone_or_as_ranges_and_always_with_a_prefix() {
    let one = address_range("198.18.0.1/24").unwrap();
    assert_eq!((one.first, one.count, one.prefix_len), (Addr::v4([198, 18, 0, 1]), 1, 24));
    let many = address_range("198.18.0.10-198.18.1.9/16").unwrap();
    assert_eq!((many.count, many.to_string()), (256, "198.18.0.10-198.18.1.9/16".into()));
    let six = address_range("2001:2::1-2001:2::ff/64").unwrap();
    assert_eq!((six.count, six.contains(address("2001:2::80").unwrap())), (255, true));
    assert!(!six.contains(address("2001:2::100").unwrap()) && !six.contains(address("198.18.0.1").unwrap()));
    let bad = [
        ("198.18.0.1", "prefix length is missing"),
        ("198.18.0.1/33", "between 1 and 32"),
        ("198.18.0.1/0", "between 1 and 32"),
        ("2001:2::1/129", "between 1 and 128"),
        ("198.18.0/24", "neither an IPv4 nor an IPv6"),
        ("198.18.0.9-198.18.0.1/24", "ends before it begins"),
        ("198.18.0.1-198.18.1.1/24", "the same /24"),
        ("198.18.0.1-2001:2::1/24", "same family"),
        ("10.0.0.0-10.255.255.255/8", "at most 65536"),
        ("224.0.0.1/24", "multicast"),
    ];
    for (text, want) in bad {
        let got = address_range(text).unwrap_err();
        assert!(got.contains(want), "{text}: {got}");
    }
}

#[test]
fn targets_are_host_and_port() {
    for text in ["198.18.0.1:80", "[2001:2::1]:443", "www.example.org:8080"] {
        assert_eq!(target(text).unwrap().to_string(), text);
    }
    let bad = [
        ("198.18.0.1", "port is missing"),
        ("198.18.0.1:0", "is not a port"),
        ("198.18.0.1:70000", "is not a port"),
        ("2001:2::1:80", "[address]:port"),
        ("[2001:2::1]", "[address]:port"),
        ("[198.18.0.1]:80", "not an IPv6 address"),
        ("198.18.0.256:80", "neither an address nor a host name"),
        (":80", "neither an address nor a host name"),
        ("255.255.255.255:80", "not the address of a single host"),
        ("http://a:80", "[address]:port"),
    ];
    for (text, want) in bad {
        let got = target(text).unwrap_err();
        assert!(got.contains(want), "{text}: {got}");
    }
}

#[test]
fn times_carry_a_unit_or_mean_seconds() {
    let table = [
        ("10", 10_000_000),
        ("1.5s", 1_500_000),
        ("200ms", 200_000),
        ("5us", 5),
        ("2m", 120_000_000),
        ("1h", 3_600_000_000),
    ];
    for (text, us) in table {
        assert_eq!(duration(text).unwrap().as_micros(), us, "{text}");
    }
    for text in ["", "s", "1d", "-1s", "1..5s", "ten", "99999999h", "1e3"] {
        assert!(duration(text).is_err(), "{text}");
    }
    assert!(positive_duration("0s").is_err());
}

#[test]
fn numbers_scale_by_letters() {
    let good = [("5000", 5000), ("20k", 20_000), ("1.5M", 1_500_000), ("1_000", 1000), ("0", 0)];
    for (text, n) in good {
        assert_eq!(count(text), Ok(n), "{text}");
    }
    for text in ["", "k", "-1", "1.5", "1e3", "x", "1kk", "9999999999G", "nan", "inf"] {
        assert!(count(text).is_err(), "{text}");
    }
    assert!(positive_count("0").is_err());
    let sizes = [("200", 200), ("64KiB", 65_536), ("10k", 10_000), ("10kB", 10_000), ("1GiB", 1 << 30)];
    for (text, n) in sizes {
        assert_eq!(bytes(text), Ok(n), "{text}");
    }
}

#[test]
fn allowances_are_numbers_or_shares() {
    assert!(allowance("0").unwrap().permits(0, 10) && !allowance("0").unwrap().permits(1, 10));
    assert!(allowance("10%").unwrap().permits(1, 10) && !allowance("10%").unwrap().permits(2, 10));
    for text in ["101%", "-1%", "x%", "%", "1.5"] {
        assert!(allowance(text).is_err(), "{text}");
    }
}

#[test]
fn ports_vlans_cores_and_paths_are_checked() {
    assert_eq!(ports("1024-65535").unwrap().count(), 64_512);
    assert_eq!(ports("80").unwrap().count(), 1);
    assert!(ports("2-1").is_err() && ports("0-9").is_err());
    assert_eq!(cores("0,2-3").unwrap().0, [0, 2, 3]);
    assert!(cores("").is_err() && cores("3-1").is_err() && cores("a").is_err());
    assert!(vlan_id("4094").is_ok() && vlan_id("0").is_err() && vlan_id("4095").is_err());
    assert!(path("/a?b=c").is_ok() && path("a").is_err() && path("/a b").is_err() && path("/\u{e9}").is_err());
}

#[test]
fn paces_are_switches_or_rates_in_bits() {
    let limit = |n| Ok(Pace(Some(Pacing { max_bytes_per_s: n })));
    assert_eq!(pace("off"), Ok(Pace(None)));
    assert_eq!(pace("on"), Ok(Pace(Some(Pacing::UNLIMITED))));
    assert_eq!(
        (pace("100mbit"), pace("2.5gbit"), pace("64kbit")),
        (limit(12_500_000), limit(312_500_000), limit(8_000))
    );
    for text in ["", "yes", "0mbit", "7bit", "100mb", "100", "-1mbit"] {
        assert!(pace(text).is_err(), "{text}");
    }
}

#[test]
fn receive_buffers_hold_a_segment_and_no_more_than_tcp_can_offer() {
    assert_eq!((buffer_bytes("2KiB"), buffer_bytes("1GiB")), (Ok(2_048), Ok(1 << 30)));
    for text in ["2047", "2GiB", "0", "many"] {
        assert!(buffer_bytes(text).is_err(), "{text}");
    }
}
