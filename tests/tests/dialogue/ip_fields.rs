//! Diffserv field and TTL: what the application asks for is what leaves (RFC 9293 3.9.1.9, 3.9.2).

use crate::{BYTES, seconds};
use synfin_engine::shard::ShardConfig;
use synfin_engine::tcp::TcpConfig;
use synfin_engine::wire::emit::IpFields;
use synfin_tests::altered::IP;
use synfin_tests::host::{Host, Sent, plain_config, seg};

fn fields(sent: &Sent) -> (u8, u8) {
    (sent.frame[IP + 1], sent.frame[IP + 8])
}

fn config(ip: IpFields) -> ShardConfig {
    let mut config = plain_config();
    config.tcp.ip = ip;
    config
}

/// Changes what a connection sends from now on.
fn tune(host: &mut Host, ip: IpFields) {
    host.act(|c| {
        let config = TcpConfig { ip, ..c.config() };
        c.tune(&config);
    });
}

#[test]
fn fields_of_the_configuration_are_in_every_segment() {
    let ip = IpFields { diffserv: 0xb8, hop_limit: 3 };
    let mut host = Host::server(config(ip));
    // RST, SYN,ACK, data, duplicate ACK, FIN and its repetition; then the ACK from TIME-WAIT.
    host.send(seg(".", 1, 1));
    host.send(seg("S", 100, 0));
    host.send(seg(".", 101, 301));
    host.write(b"data");
    host.send(seg(".", 110, 301).data(*b"gap"));
    host.act(|c| c.shutdown());
    host.pass(seconds(1));
    host.send(seg("F.", 101, 306));
    host.send(seg("F.", 101, 306));
    assert!(host.out.len() >= 8, "{}", host.out.len());
    assert!(host.out.iter().all(|s| fields(s) == (0xb8, 3)));
    host.pass(seconds(61));
    host.assert_clean();
    let mut host = Host::client(config(ip));
    assert_eq!(fields(&host.expect("S", 300, 0)), (0xb8, 3));
    host.act(|c| c.abort());
}

#[test]
fn connection_may_have_fields_of_its_own_and_change_them() {
    let mut host = Host::accepted(plain_config());
    host.write(b"data");
    assert_eq!(fields(&host.expect_data(301, 101, b"data")), (0, 64));
    host.send(seg(".", 101, 305));
    for (from, ip) in [(0, IpFields { diffserv: 0x28, hop_limit: 64 }), (100, IpFields { diffserv: 0, hop_limit: 255 })]
    {
        tune(&mut host, ip);
        let at = 305 + from as u32;
        host.write(&BYTES[from..from + 100]);
        assert_eq!(fields(&host.expect_data(at, 101, &BYTES[from..from + 100])), (ip.diffserv, ip.hop_limit));
        host.send(seg(".", 101, at + 100));
    }
    // Another connection keeps the usual ones.
    let first = host.shard.app().conn;
    host.remote.1 += 1;
    host.send(seg("S", 100, 0));
    assert_eq!(fields(&host.expect("S.", 300, 101)), (0, 64));
    host.send(seg("R", 101, 0));
    host.shard.app_mut().conn = first;
    host.act(|c| c.abort());
    assert_eq!(fields(&host.next()), (0, 255));
    host.assert_clean();
}
