//! Local addresses: chosen where none is given, kept to where one is.

use crate::{close, ms, recv};
use synfin_engine::socket::Errno;
use synfin_tests::pair::{ADDR_A, ADDR_B, configs};
use synfin_tests::sockets::{Host, Net, PORT};

#[test]
fn a_local_address_is_chosen_where_none_is_given() {
    let mut net = Net::default();
    let (_, client, _) = net.connected();
    let (addr, port) = net.on(Host::A, |s| s.local_name(client)).expect("a name");
    assert_eq!(addr, ADDR_A);
    assert!(port >= 32_768, "an ephemeral port, not {port}");
}

#[test]
fn a_listener_bound_to_one_address_has_nothing_to_accept_from_callers_of_another() {
    let (a, mut b) = configs();
    b.locals[0].count = 2;
    let other = ADDR_B.plus(1);
    let mut net = Net::new((a, b));
    let listener = net.on(Host::B, |s| {
        let fd = s.socket(false);
        s.bind(fd, other, PORT).expect("an address of ours");
        s.listen(fd, 4).expect("listen");
        fd
    });
    for (callee, accepted) in [(ADDR_B, false), (other, true)] {
        let client = net.on(Host::A, |s| s.socket(false));
        assert_eq!(net.on(Host::A, |s| s.connect(client, callee, PORT)), Err(Errno::INPROGRESS));
        net.pass(ms(200));
        let got = net.on(Host::B, |s| s.accept(listener));
        assert_eq!(got.is_ok(), accepted, "{callee}");
        let read = recv(&mut net, Host::A, client, 10);
        assert_eq!(read, Err(if accepted { Errno::AGAIN } else { Errno::CONNRESET }));
        if let Ok((server, (addr, _))) = got {
            assert_eq!(addr, ADDR_A);
            assert_eq!(net.on(Host::B, |s| s.local_name(server)), Ok((other, PORT)));
        }
        close(&mut net, Host::A, client);
    }
}
