/**
 * Frames as Linux's own VXLAN devices put them on a veth between 192.0.2.1 and 192.0.2.2 (kernel 6.18, VNI 1,
 * tcpdump -xx), outer Ethernet header included. Hosts are 10.244.1.0 at 0a:58:c0:00:02:01 and 10.244.2.0 at
 * 0a:58:c0:00:02:02. Outer UDP checksums are left to the device, as are the inner ones of `tcpSyn` and `udp`.
 */
function frame(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

/** Where the headers stand in every frame. */
export const OUTER_IP = 14;
export const OUTER_UDP = 34;
export const VXLAN = 42;
export const INNER_ETHERNET = 50;
export const INNER_L3 = 64;
export const INNER_L4 = 84;
export const INNER_L4_V6 = 104;

/** ARP, Request who-has 10.244.2.0 tell 10.244.1.0 */
export const arpRequest = frame(`
  cebd f0c9 a2df 5ac1 f6ff 3bf9 0800 4500 004e edac 0000 4011 08ef c000 0201 c000
  0202 e735 12b5 003a 844f 0800 0000 0000 0100 ffff ffff ffff 0a58 c000 0201 0806
  0001 0800 0604 0001 0a58 c000 0201 0af4 0100 0000 0000 0000 0af4 0200`);

/** ARP, Reply 10.244.2.0 is-at 0a:58:c0:00:02:02 */
export const arpReply = frame(`
  5ac1 f6ff 3bf9 cebd f0c9 a2df 0800 4500 004e e704 0000 4011 0f97 c000 0202 c000
  0201 e735 12b5 003a 844f 0800 0000 0000 0100 0a58 c000 0201 0a58 c000 0202 0806
  0001 0800 0604 0002 0a58 c000 0202 0af4 0200 0a58 c000 0201 0af4 0100`);

/** 10.244.1.0 > 10.244.2.0: ICMP echo request, id 7051, seq 1, length 24 (ttl 64, id 36352, DF) */
export const echoRequest = frame(`
  cebd f0c9 a2df 5ac1 f6ff 3bf9 0800 4500 005e edad 0000 4011 08de c000 0201 c000
  0202 c94a 12b5 004a 845f 0800 0000 0000 0100 0a58 c000 0202 0a58 c000 0201 0800
  4500 002c 8e00 4000 4001 93e9 0af4 0100 0af4 0200 0800 faed 1b8b 0001 11df 006b
  0000 0000 cc3b 0300 0000 0000`);

/** 10.244.2.0 > 10.244.1.0: ICMP echo reply, id 7051, seq 1, length 24 */
export const echoReply = frame(`
  5ac1 f6ff 3bf9 cebd f0c9 a2df 0800 4500 005e e705 0000 4011 0f86 c000 0202 c000
  0201 c94a 12b5 004a 845f 0800 0000 0000 0100 0a58 c000 0201 0a58 c000 0202 0800
  4500 002c d35d 0000 4001 8e8c 0af4 0200 0af4 0100 0000 02ee 1b8b 0001 11df 006b
  0000 0000 cc3b 0300 0000 0000`);

/** 10.244.1.0.49910 > 10.244.2.0.9: UDP, length 5: "weft!" */
export const udp = frame(`
  cebd f0c9 a2df 5ac1 f6ff 3bf9 0800 4500 0053 eddf 0000 4011 08b7 c000 0201 c000
  0202 b615 12b5 003f 21f3 0800 0000 0000 0100 0a58 c000 0202 0a58 c000 0201 0800
  4500 0021 1cca 4000 4011 051b 0af4 0100 0af4 0200 c2f6 0009 000d 1906 7765 6674
  21`);

/** 10.244.2.0 > 10.244.1.0: ICMP 10.244.2.0 udp port 9 unreachable (tos 0xc0), quoting `udp` */
export const portUnreachable = frame(`
  5ac1 f6ff 3bf9 cebd f0c9 a2df 0800 4500 006f e72b 0000 4011 0f4f c000 0202 c000
  0201 c94a 12b5 005b 8470 0800 0000 0000 0100 0a58 c000 0201 0a58 c000 0202 0800
  45c0 003d d376 0000 4001 8da2 0af4 0200 0af4 0100 0303 2210 0000 0000 4500 0021
  1cca 4000 4011 051b 0af4 0100 0af4 0200 c2f6 0009 000d 1906 7765 6674 21`);

/**
 * 10.244.1.0.54198 > 10.244.2.0.80: Flags [S], cksum 0x1916 (incorrect -> 0xb998), seq 2426643260, win 64860,
 * options [mss 1410,sackOK,TS val 1997404509 ecr 0,nop,wscale 10], length 0
 */
export const tcpSyn = frame(`
  cebd f0c9 a2df 5ac1 f6ff 3bf9 0800 4500 006e ede0 0000 4011 089b c000 0201 c000
  0202 eda1 12b5 005a ea40 0800 0000 0000 0100 0a58 c000 0202 0a58 c000 0201 0800
  4500 003c 7f84 4000 4006 a250 0af4 0100 0af4 0200 d3b6 0050 90a3 a33c 0000 0000
  a002 fd5c 1916 0000 0204 0582 0402 080a 770d f95d 0000 0000 0103 030a`);
export const TCP_SYN_TRUE_CHECKSUM = 0xb998;

/** 10.244.2.0.80 > 10.244.1.0.54198: Flags [R.], cksum 0x8f01 (correct), seq 0, ack 2426643261, win 0 */
export const tcpReset = frame(`
  5ac1 f6ff 3bf9 cebd f0c9 a2df 0800 4500 005a e72c 0000 4011 0f63 c000 0202 c000
  0201 813c 12b5 0046 845b 0800 0000 0000 0100 0a58 c000 0201 0a58 c000 0202 0800
  4500 0028 0000 4000 4006 21e9 0af4 0200 0af4 0100 0050 d3b6 0000 0000 90a3 a33d
  5014 0000 8f01 0000`);

/** fd00:10:244:1::1 > fd00:10:244:2::1: ICMP6, echo request, id 7052, seq 1 (flowlabel 0x1745f, hlim 64, 25 bytes) */
export const echoRequest6 = frame(`
  cebd f0c9 a2df 5ac1 f6ff 3bf9 0800 4500 0073 edb0 0000 4011 08c6 c000 0201 c000
  0202 d1fd 12b5 005f 8474 0800 0000 0000 0100 0a58 c000 0202 0a58 c000 0201 86dd
  6001 745f 0019 3a40 fd00 0010 0244 0001 0000 0000 0000 0001 fd00 0010 0244 0002
  0000 0000 0000 0001 8000 a298 1b8c 0001 11df 006b 0000 0000 9d8d 0300 0000 0000
  10`);

/** Every frame, by name. */
export const captures: Record<string, Uint8Array> = {
  arpRequest,
  arpReply,
  echoRequest,
  echoReply,
  udp,
  portUnreachable,
  tcpSyn,
  tcpReset,
  echoRequest6,
};
