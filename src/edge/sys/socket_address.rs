//! Socket addresses as the kernel writes them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Reads an address that the kernel wrote; `None` for families other than IPv4 and IPv6.
pub fn read(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage, which is larger and aligned for any address, holds this kind.
            let v4 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id)))
        }
        _ => None,
    }
}

/// Writes `address` and returns its length.
pub fn write(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> libc::socklen_t {
    let address = socket2::SockAddr::from(address);
    // SAFETY: both are whole sockaddr_storage values.
    unsafe { std::ptr::copy_nonoverlapping(address.as_ptr().cast(), std::ptr::from_mut(storage), 1) };
    address.len()
}

/// The address that a datagram was sent to, as the socket's family writes it.
pub fn v4(address: libc::in_addr) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from_be(address.s_addr)))
}
