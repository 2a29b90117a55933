/*
 * Counters of a worker: one for every way a packet can leave the software path.
 *
 * A worker writes its own counters with plain relaxed stores; anybody may read
 * and sum them. A packet given to slu_worker_burst() ends in exactly one of
 * tx, exception, handover, held or a drop reason.
 */
#ifndef SLU_HOST_COUNTERS_H
#define SLU_HOST_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

/* X(symbol, name, is it a drop reason, meaning) */
#define SLU_COUNTERS(X)                                                                                                \
	X(RX, "rx", false, "packets given to the worker")                                                              \
	X(TX, "tx", false, "packets put into a transmit array, answers of our own included")                           \
	X(EXCEPTION, "exception", false, "packets for the kernel")                                                     \
	X(HANDOVER, "handover", false, "packets passed to the worker that owns their session")                         \
	X(HELD, "held", false, "packets held while a neighbour is resolved")                                           \
	X(HELD_SENT, "held_sent", false, "held packets sent after resolution")                                         \
	X(SESSIONS_CREATED, "sessions_created", false, "sessions created")                                             \
	X(SESSIONS_EXPIRED, "sessions_expired", false, "sessions ended by their time-out")                             \
	X(SESSIONS_REUSED, "sessions_reused", false, "finished sessions replaced by a new SYN of the same tuple")      \
	X(ICMP_TRANSLATED, "icmp_translated", false, "ICMP errors translated and forwarded")                           \
	X(FRAGMENTS, "fragments", false, "fragments forwarded")                                                        \
	X(TIME_EXCEEDED_SENT, "time_exceeded_sent", false, "ICMP time exceeded sent")                                  \
	X(TOO_BIG_SENT, "too_big_sent", false, "ICMP packet too big sent")                                             \
	X(RST_SENT, "rst_sent", false, "RST answers sent")                                                             \
	X(RST_REVIVED, "rst_revived", false, "sessions that traffic revived after an RST")                             \
	X(RX_AFTER_OFFLOAD, "rx_after_offload", false, "packets that came to software although the card has the flow") \
	X(OFFLOAD_ASKED, "offload_asked", false, "directions asked to be offloaded")                                   \
	X(OFFLOAD_TAKEN_BACK, "offload_taken_back", false, "directions asked to be taken back")                        \
	X(OFFLOAD_NO_ROOM, "offload_no_room", false, "requests put off: the ring or list was full")                    \
	X(SYNC_TOLD, "sync_told", false, "sessions told to the cluster: new, changed or refreshed")                    \
	X(SYNC_REPORTED, "sync_reported", false, "what was seen of other nodes' sessions, reported to their owners")   \
	X(SYNC_ENDS_TOLD, "sync_ends_told", false, "ends of sessions told to the cluster")                             \
	X(SYNC_OUTBOX_FULL, "sync_outbox_full", false, "records that found no room; told later, ends not at all")      \
	X(SYNC_ASKED, "sync_asked", false, "segments without a session that other members were asked about")           \
	X(SYNC_ANSWERED, "sync_answered", false, "sessions told because another member asked")                         \
	X(SYNC_TAKEN, "sync_taken", false, "sessions of other nodes taken into the table")                             \
	X(SYNC_CHANGED, "sync_changed", false, "newer versions of known sessions taken")                               \
	X(SYNC_REFRESHED, "sync_refreshed", false, "known sessions heard of again")                                    \
	X(SYNC_ENDED, "sync_ended", false, "copies ended by their owners")                                             \
	X(SYNC_REPORTS, "sync_reports", false, "reports of other nodes about our sessions")                            \
	X(SYNC_NOT_OURS, "sync_not_ours", false, "reports for other owners")                                           \
	X(SYNC_STALE, "sync_stale", false, "records that are older than what is known")                                \
	X(SYNC_TOMBSTONED, "sync_tombstoned", false, "late records of sessions that have ended")                       \
	X(SYNC_TOMBSTONES_FULL, "sync_tombstones_full", false, "tombstones given up early for newer ones")             \
	X(SYNC_CONFLICT, "sync_conflict", false, "records whose tuples another session has")                           \
	X(SYNC_CONTRADICTED, "sync_contradicted", false, "ends of our sessions that others told: we tell them anew")   \
	X(SYNC_ORPHAN, "sync_orphan", false, "sessions taken without their listener or backend being known")           \
	X(SYNC_NO_ROOM, "sync_no_room", false, "sessions not taken: the table is full")                                \
	X(SYNC_UNSUPPORTED, "sync_unsupported", false,                                                                 \
		"sessions not taken: forwarded by DR or tunnel, or no TCP or UDP")                                     \
	X(SYNC_BAD, "sync_bad", false, "records refused: impossible values")                                           \
	X(SYNC_EXPIRED, "sync_expired", false, "copies that ended without a word of their owner")                      \
	X(TOA_WRITTEN, "toa_written", false, "packets that got the client's address as option 254, repeated ones too") \
	X(TOA_STRIPPED, "toa_stripped", false, "packets that lost an option 254 of the client's own")                  \
	X(TOA_NO_ROOM, "toa_no_room", false, "SYNs without room for the client's address, sent without")               \
	X(PROXY_HEADERS, "proxy_headers", false, "PROXY headers sent, repeated ones too")                              \
	X(PROXY_HEADERS_ALONE, "proxy_headers_alone", false,                                                           \
		"of these, those in a packet of their own: the client's had no room")                                  \
	X(DROP_SHORT, "drop_short", true, "frame shorter than its headers")                                            \
	X(DROP_BAD_IP, "drop_bad_ip", true, "IP version, header length or total length contradicts the frame")         \
	X(DROP_BAD_L3_CSUM, "drop_bad_l3_csum", true, "IPv4 header checksum is wrong")                                 \
	X(DROP_BAD_L4, "drop_bad_l4", true, "TCP or UDP header cut short or its length contradicts the IP length")     \
	X(DROP_BAD_ADDRESS, "drop_bad_address", true, "source address is multicast, broadcast, loopback or zero")      \
	X(DROP_EXTENSION, "drop_extension", true, "IPv6 extension headers too many or malformed")                      \
	X(DROP_TCP_FLAGS, "drop_tcp_flags", true, "impossible TCP flags without a session")                            \
	X(DROP_NO_SESSION, "drop_no_session", true, "not a SYN, no session, on a listener; answered by rst_sent")      \
	X(DROP_NO_LISTENER, "drop_no_listener", true, "for a listener's address, on a port without a listener")        \
	X(DROP_NO_BACKEND, "drop_no_backend", true, "no backend with a positive weight")                               \
	X(DROP_LIMIT, "drop_limit", true, "the listener has as many sessions as max_sessions allows")                  \
	X(DROP_NO_LOCAL_ADDRESS, "drop_no_local_address", true, "FULLNAT without a local address of the family")       \
	X(DROP_NO_LOCAL_PORT, "drop_no_local_port", true, "no free local port towards the backend")                    \
	X(DROP_NO_PUBLIC_ADDRESS, "drop_no_public_address", true, "SNAT without an own public address of the family")  \
	X(DROP_NO_PUBLIC_PORT, "drop_no_public_port", true, "no free public port towards the remote, or EIP's taken")  \
	X(DROP_OPENING, "drop_opening", true,                                                                          \
		"fragment that had to carry the client's address, or SYN while the card still has the session")        \
	X(DROP_SNAT_NO_SESSION, "drop_snat_no_session", true, "for a public address of SNAT, no session")              \
	X(DROP_TABLE_FULL, "drop_table_full", true, "session table full")                                              \
	X(DROP_NO_ROUTE, "drop_no_route", true, "no route to the destination")                                         \
	X(DROP_NEIGHBOUR, "drop_neighbour", true, "neighbour not resolved in time, or too many packets held")          \
	X(DROP_TTL, "drop_ttl", true, "TTL or hop limit used up; answered by time_exceeded_sent")                      \
	X(DROP_TOO_BIG, "drop_too_big", true, "longer than the next hop's MTU; answered by too_big_sent")              \
	X(DROP_FRAGMENT_FIRST, "drop_fragment_first", true, "fragment whose first fragment was not seen")              \
	X(DROP_FRAGMENT_TINY, "drop_fragment_tiny", true, "first fragment without a whole transport header")           \
	X(DROP_ICMP_BAD, "drop_icmp_bad", true, "malformed ICMP error or wrong ICMP checksum")                         \
	X(DROP_ICMP_NO_SESSION, "drop_icmp_no_session", true,                                                          \
		"ICMP error for a listener or local address, no session")                                              \
	X(DROP_LOCAL, "drop_local", true, "for a local address, no session")                                           \
	X(DROP_HANDOVER_FULL, "drop_handover_full", true, "the other worker's ring is full")                           \
	X(DROP_NO_MEMORY, "drop_no_memory", true, "a packet's headers could not be made contiguous")                   \
	X(DROP_ASKED, "drop_asked", true, "no session yet: another member may have it, and was asked")                 \
	X(DROP_QUIET, "drop_quiet", true, "no session, silent after a change of membership")                           \
	X(DROP_NO_CONFIG, "drop_no_config", true, "no generation published yet")

enum slu_counter {
#define X(symbol, name, drop, meaning) SLU_COUNT_##symbol,
	SLU_COUNTERS(X)
#undef X
		SLU_COUNT_MAX
};

struct slu_counter_info {
	const char *name;
	bool is_drop;
	const char *meaning;
};

/* [SLU_COUNT_MAX] */
extern const struct slu_counter_info slu_counter_info[];

#endif
