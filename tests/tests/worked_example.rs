//! The worked example: client ISN 100, server ISN 300; 1000 bytes one way, 2000 the other, 50 more after the client
//! has closed. The numbers are exact, on two real shards.

use std::time::Duration;
use synfin_engine::base::Instant;
use synfin_engine::io::sim::Impairment;
use synfin_engine::shard::{App, CloseReason, Conn, Connect, Net, Payload, TraceEvent};
use synfin_engine::tcp::State;
use synfin_tests::pair::{ADDR_A, ADDR_B, Pair, configs};

static BYTES: [u8; 2000] = [7; 2000];

#[derive(Default)]
struct Client {
    started: bool,
    received: usize,
    ended: Option<CloseReason>,
}

impl App for Client {
    type Conn = ();

    fn poll(&mut self, net: &mut Net<'_, ()>) {
        if !self.started {
            self.started = true;
            let to = Connect { local: ADDR_A, local_port: 40_000, remote: ADDR_B, remote_port: 80 };
            net.connect(to, ()).unwrap();
        }
    }

    fn connected(&mut self, conn: &mut Conn<'_, ()>) {
        conn.send(Payload::Static(&BYTES[..1000])).unwrap();
    }

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.received += bytes.len();
        if self.received == 2000 {
            conn.shutdown();
        }
        bytes.len()
    }

    fn closed(&mut self, (): (), why: CloseReason, _: Instant) {
        self.ended = Some(why);
    }
}

#[derive(Default)]
struct Server {
    received: usize,
    ended: Option<CloseReason>,
}

impl App for Server {
    type Conn = ();

    fn data(&mut self, conn: &mut Conn<'_, ()>, bytes: &[u8]) -> usize {
        self.received += bytes.len();
        if self.received == 1000 {
            conn.send(Payload::Static(&BYTES)).unwrap();
        }
        bytes.len()
    }

    fn peer_closed(&mut self, conn: &mut Conn<'_, ()>) {
        // Still 50 bytes to send; the FIN follows once they are acknowledged.
        conn.send(Payload::Static(&BYTES[..50])).unwrap();
        conn.want_writable();
    }

    fn writable(&mut self, conn: &mut Conn<'_, ()>) {
        if conn.state() == State::CloseWait && conn.queued_bytes() == 0 {
            conn.shutdown();
        } else {
            conn.want_writable();
        }
    }

    fn closed(&mut self, (): (), why: CloseReason, _: Instant) {
        self.ended = Some(why);
    }
}

fn sent<'a>(trace: &'a [TraceEvent], flag: &str) -> Vec<&'a TraceEvent> {
    trace.iter().filter(|e| e.outgoing && format!("{:?}", e.flags).contains(flag)).collect()
}

#[test]
fn worked_example_of_the_lifecycle_has_exactly_these_sequence_numbers() {
    let (mut a, mut b) = configs();
    for (config, iss) in [(&mut a, 100), (&mut b, 300)] {
        config.tcp.fixed_iss = Some(iss);
        config.trace = true;
    }
    let delay = Impairment { delay: Duration::from_millis(1), ..Impairment::default() };
    let mut pair = Pair::new((a, b), (Client::default(), Server::default()), 1, [delay, delay]);
    pair.b.shard.listen(80);
    pair.run(Duration::from_secs(1));
    let (client, server) = (&pair.a.trace, &pair.b.trace);

    // Opening: 100 / 300,101 / 101,301.
    let syn = sent(client, "S")[0];
    assert_eq!((syn.seq.0, syn.after), (100, State::SynSent));
    let syn_ack = sent(server, "S")[0];
    assert_eq!((syn_ack.seq.0, syn_ack.ack.0, syn_ack.after), (300, 101, State::SynReceived));
    let third = client.iter().filter(|e| e.outgoing).nth(1).unwrap();
    assert_eq!((third.seq.0, third.ack.0, third.after), (101, 301, State::Established));

    // Closing, segment 1: FIN,ACK seq=1101 ack=2301.
    let fin1 = sent(client, "F");
    assert_eq!(fin1.len(), 1);
    assert_eq!((fin1[0].seq.0, fin1[0].ack.0, fin1[0].after), (1101, 2301, State::FinWait1));
    // Segment 2: ACK ack=1102; the server is in CLOSE-WAIT.
    let ack_of_fin = server.iter().find(|e| e.outgoing && e.ack.0 == 1102).unwrap();
    assert_eq!((ack_of_fin.seq.0, ack_of_fin.before), (2301, State::CloseWait));
    // The last 50 bytes seq=2301, and the client's ACK of them, ack=2351.
    let last_data = server.iter().find(|e| e.outgoing && e.payload_len == 50).unwrap();
    assert_eq!((last_data.seq.0, last_data.ack.0), (2301, 1102));
    let ack_of_data = client.iter().find(|e| e.outgoing && e.ack.0 == 2351).unwrap();
    assert_eq!((ack_of_data.seq.0, ack_of_data.before), (1102, State::FinWait2));
    // Segment 3: FIN,ACK seq=2351 ack=1102.
    let fin2 = sent(server, "F");
    assert_eq!(fin2.len(), 1);
    assert_eq!((fin2[0].seq.0, fin2[0].ack.0, fin2[0].after), (2351, 1102, State::LastAck));
    // Segment 4: ACK seq=1102 ack=2352; client in TIME-WAIT, server CLOSED at once.
    let last = client.iter().rfind(|e| e.outgoing).unwrap();
    assert_eq!((last.seq.0, last.ack.0, last.after), (1102, 2352, State::TimeWait));
    assert_eq!(pair.b.shard.live(), (0, 0, 0));
    assert_eq!(pair.a.shard.live(), (0, 0, 1));
    assert_eq!(pair.a.shard.app().ended, Some(CloseReason::Graceful));
    assert_eq!(pair.b.shard.app().ended, Some(CloseReason::Graceful));

    // The client's record is gone after 2MSL, and not before.
    pair.run(Duration::from_secs(58));
    assert_eq!(pair.a.shard.live(), (0, 0, 1));
    assert!(pair.run(Duration::from_secs(3)));
    pair.a.assert_clean();
    pair.b.assert_clean();
}
