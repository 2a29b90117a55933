/*
 * Servers see the client's address instead of the balancer's, without being
 * changed: of connections from trusted sources, option 254 of the SYN is kept with
 * the socket, and getpeername() and accept() return it.
 *
 * Attached to a cgroup (toa.c): slu_toa_sockops to what TCP does in it,
 * slu_toa_peer4 and 6 to who asks for a peer. inet_getname() runs the latter for accept()
 * too (since Linux 5.8).
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define SOL_TCP 6
#define TCP_HEADER 20u
#define TCP_HEADER_MAX 60u
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_TOA 254
#define OPTION_TOA_BYTES4 8
#define OPTION_TOA_BYTES6 20
#define SOURCES_MAX 4096

/* Kept with a socket: who is at the other end of the balancer. */
struct peer {
	__be16 port; /* 0: not told */
	__u8 family;
	__be32 ip[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct peer);
} peers SEC(".maps");

/* The SYN that is being looked at, with room behind it for an option that begins at the last place(). */
struct syn {
	__u8 header[64 + OPTION_TOA_BYTES6];
};

/* An offset below 64, whatever the compiler knows of it: the verifier forgets what was compared. */
static __u32 place(__u32 at)
{
	__asm__ volatile("" : "+r"(at));
	return at & 63;
}

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct syn);
} syns SEC(".maps");

/* Prefixes whose word is taken; IPv4 as IPv4-mapped addresses. */
struct source {
	__u32 bits;
	__be32 ip[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SOURCES_MAX);
	__type(key, struct source);
	__type(value, __u32);
} sources SEC(".maps");

/* Counters, by enum slu_toa_count of toa.h. */
#include "toa.h"
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLU_TOA_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static void count(__u32 what)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &what);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static int is_trusted(const struct bpf_sock_ops *ops)
{
	struct source source = {.bits = 128};
	__be32 ip4 = ops->remote_ip4;

	/* Read before the branch: the verifier refuses an address of a field that is computed. */
	__asm__ volatile("" : "+r"(ip4));
	if (ops->family == AF_INET) {
		source.ip[2] = bpf_htonl(0xFFFF);
		source.ip[3] = ip4;
	} else {
		source.ip[0] = ops->remote_ip6[0];
		source.ip[1] = ops->remote_ip6[1];
		source.ip[2] = ops->remote_ip6[2];
		source.ip[3] = ops->remote_ip6[3];
	}
	return bpf_map_lookup_elem(&sources, &source) != 0;
}

/*
 * Where the option of the connection's SYN begins in syn->header, 0: without. bpf_load_hdr_opt() cannot find it: of
 * experimental kinds it wants to know the bytes that follow.
 */
static __u32 find_option(struct bpf_sock_ops *ops, struct syn *syn)
{
	__u32 at = TCP_HEADER, end;

	__builtin_memset(syn, 0, sizeof(*syn));
	if (bpf_getsockopt(ops, SOL_TCP, TCP_BPF_SYN, syn->header, TCP_HEADER_MAX) < (int)TCP_HEADER)
		return 0;
	end = (__u32)(syn->header[12] >> 4) * 4;
	for (__u32 i = 0; i < TCP_HEADER_MAX - TCP_HEADER; i++) {
		const __u8 *option;
		__u8 kind, bytes;

		if (at + 2 > end || at + 2 > TCP_HEADER_MAX)
			return 0;
		option = syn->header + place(at);
		kind = option[0];
		bytes = kind == OPTION_NOP ? 1 : option[1];
		if (kind == OPTION_END || bytes == 0 || (kind != OPTION_NOP && bytes < 2) || at + bytes > end)
			return 0;
		if (kind == OPTION_TOA && (bytes == OPTION_TOA_BYTES4 || bytes == OPTION_TOA_BYTES6))
			return at;
		at += bytes;
	}
	return 0;
}

static void keep(struct bpf_sock_ops *ops, const struct syn *syn, __u32 at)
{
	const __u8 *option = syn->header + place(at);
	struct bpf_sock *sk = ops->sk;
	struct peer *peer;

	if (!sk)
		return;
	peer = bpf_sk_storage_get(&peers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!peer) {
		count(SLU_TOA_COUNT_NO_MEMORY);
		return;
	}
	peer->family = option[1] == OPTION_TOA_BYTES4 ? AF_INET : AF_INET6;
	__builtin_memcpy(&peer->port, option + 2, sizeof(peer->port));
	/* Behind an address of IPv4 stands something else, which nobody reads. */
	__builtin_memcpy(peer->ip, option + 4, sizeof(peer->ip));
	count(SLU_TOA_COUNT_KEPT);
}

static void established(struct bpf_sock_ops *ops)
{
	__u32 zero = 0, at;
	struct syn *syn = bpf_map_lookup_elem(&syns, &zero);

	at = syn ? find_option(ops, syn) : 0;
	if (!at)
		return;
	if (is_trusted(ops))
		keep(ops, syn, at);
	else
		count(SLU_TOA_COUNT_UNTRUSTED);
}

SEC("sockops")
int slu_toa_sockops(struct bpf_sock_ops *ops)
{
	int on = 1;

	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		/* Connections of this listener keep their SYN until they are asked for it. */
		bpf_setsockopt(ops, SOL_TCP, TCP_SAVE_SYN, &on, sizeof(on));
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		established(ops);
		break;
	default:
		break;
	}
	return 1;
}

static struct peer *peer_of(struct bpf_sock_addr *ctx)
{
	struct peer *peer = ctx->sk ? bpf_sk_storage_get(&peers, ctx->sk, 0, 0) : 0;

	return peer && peer->port ? peer : 0;
}

SEC("cgroup/getpeername4")
int slu_toa_peer4(struct bpf_sock_addr *ctx)
{
	struct peer *peer = peer_of(ctx);

	if (peer && peer->family == AF_INET) {
		ctx->user_ip4 = peer->ip[0];
		ctx->user_port = peer->port;
		count(SLU_TOA_COUNT_TOLD);
	}
	return 1;
}

/* Sockets of IPv6, those with IPv4 on them too. */
SEC("cgroup/getpeername6")
int slu_toa_peer6(struct bpf_sock_addr *ctx)
{
	struct peer *peer = peer_of(ctx);

	if (!peer)
		return 1;
	if (peer->family == AF_INET) {
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = bpf_htonl(0xFFFF);
		ctx->user_ip6[3] = peer->ip[0];
	} else {
		ctx->user_ip6[0] = peer->ip[0];
		ctx->user_ip6[1] = peer->ip[1];
		ctx->user_ip6[2] = peer->ip[2];
		ctx->user_ip6[3] = peer->ip[3];
	}
	ctx->user_port = peer->port;
	count(SLU_TOA_COUNT_TOLD);
	return 1;
}

char LICENSE[] SEC("license") = "Apache-2.0";
