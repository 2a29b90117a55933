/*
 * A validated configuration document. Whoever holds one may rely on every rule
 * of docs/configuration.md: names are unique, references resolve, ranges hold.
 *
 * A struct slu_config is read-only after parsing and belongs to the caller of
 * the function that returned it. Control thread only.
 */
#ifndef SLU_HOST_CONFIG_H
#define SLU_HOST_CONFIG_H

#include "host/config/errors.h"
#include "host/control/generation.h"

#define SLU_CONFIG_MAX_BYTES (16u << 20)
#define SLU_CONFIG_MAX_PORTS 16u
#define SLU_CONFIG_MAX_LISTENERS 60000u
#define SLU_CONFIG_MAX_GROUPS 60000u
#define SLU_CONFIG_MAX_BACKENDS 4096u      /* in one group */
#define SLU_CONFIG_MAX_ALL_BACKENDS 60000u /* live indexes have 16 bits, and tombstones need some */
#define SLU_CONFIG_MAX_LOCALS 4096u
#define SLU_CONFIG_MAX_SNATS 1024u
#define SLU_CONFIG_MAX_SOURCES 1024u         /* of one SNAT */
#define SLU_CONFIG_MAX_PUBLIC_ADDRESSES 256u /* of one SNAT */
#define SLU_CONFIG_MAX_EIPS 4096u
#define SLU_CONFIG_MAX_INTERNAL 4096u /* prefixes */
#define SLU_CONFIG_MAX_WEIGHT 1000u
#define SLU_CONFIG_MAX_MEMBERS 8u /* of a sync group */
#define SLU_CONFIG_PROBE_BYTES 512u
#define SLU_INTERFACE_BYTES 16u /* a name of the kernel's with its end */

/* An address of the node with the length of its network's prefix. */
struct slu_config_prefix {
	struct slu_ip ip;
	uint8_t bits;
};

struct slu_config_port {
	char name[SLU_NAME_BYTES];
	char *device;                  /* EAL device: vdev with arguments, or a PCI address */
	uint32_t index;                /* which of the device's ethdevs, 0.. */
	char tap[SLU_INTERFACE_BYTES]; /* interface of the exception path */
	uint32_t queues;
	struct slu_config_prefix *addresses; /* of the node, set on the TAP */
	uint32_t address_count;
};

enum slu_check_type { SLU_CHECK_NONE, SLU_CHECK_TCP, SLU_CHECK_HTTP, SLU_CHECK_UDP };

struct slu_config_check {
	enum slu_check_type type;
	uint16_t port; /* 0: the backend's */
	uint32_t interval_ms, timeout_ms;
	uint32_t rise, fall;
	/* HTTP */
	char *path;
	char *host; /* NULL: the backend's address */
	uint16_t status_first, status_last;
	/* UDP: bytes, not strings */
	uint8_t send[SLU_CONFIG_PROBE_BYTES], expect[SLU_CONFIG_PROBE_BYTES];
	uint16_t send_bytes, expect_bytes; /* expect_bytes 0: no ICMP error is enough */
};

struct slu_config_backend {
	char name[SLU_NAME_BYTES];
	struct slu_ip address;
	uint16_t port; /* 0: the listener's destination port */
	uint16_t weight;
};

struct slu_config_group {
	char name[SLU_NAME_BYTES];
	enum slu_scheduler scheduler;
	struct slu_config_check check;
	struct slu_config_backend *backends;
	uint32_t backend_count;
};

/* Which sessions go to the card. */
struct slu_config_offload {
	bool enabled;
	uint32_t threshold_packets;
};

struct slu_config_listener {
	char name[SLU_NAME_BYTES];
	struct slu_ip address;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t port_first, port_last;
	enum slu_mode mode;
	enum slu_client_address client_address;
	uint32_t vpc;
	char group[SLU_NAME_BYTES];
	uint32_t group_index; /* into slu_config.groups */
	struct slu_config_offload offload;
	uint32_t max_sessions; /* at a time, in the whole cluster; 0: no limit */
	struct slu_timeouts timeouts;
};

/* A list of single addresses, ranges expanded. */
struct slu_config_addresses {
	struct slu_ip *ips;
	uint32_t *items; /* [count]: which member of the list in the document each came from */
	uint32_t count;
};

/* SNAT or EIP. */
struct slu_config_outbound {
	char name[SLU_NAME_BYTES];
	uint32_t vpc;
	struct slu_config_offload offload;
	struct slu_timeouts timeouts;
	/* SNAT */
	struct slu_config_prefix *sources;
	uint32_t source_count;
	struct slu_config_addresses addresses;
	uint16_t port_first, port_last;
	/* EIP */
	struct slu_ip public_ip, private_ip;
};

struct slu_config_member {
	uint8_t id; /* 1..255; the ring's order */
	char name[SLU_NAME_BYTES];
	struct slu_ip address;            /* on the sync network */
	struct slu_config_prefix *locals; /* home prefixes of local addresses */
	uint32_t local_count;
};

/* This node's place in a cluster. */
struct slu_config_cluster {
	uint8_t id;                          /* 1..255 */
	uint8_t group;                       /* syncid */
	char interface[SLU_INTERFACE_BYTES]; /* of the kernel: the sync network */
	struct slu_ip address;               /* our own on it, IPv4 */
	struct slu_ip multicast;
	uint16_t port;
	char *key_file;    /* NULL: no authentication */
	bool extensions;   /* false: for Linux IPVS */
	uint8_t revision;  /* of session sync, the highest to speak */
	bool trigger_data; /* else as Linux IPVS */
	uint32_t threshold, period;
	uint32_t route_table;              /* kernel table that says what to announce; 0: none */
	struct slu_config_member *members; /* all, this node included; none with etcd */
	uint32_t member_count;
	struct slu_config_prefix *locals; /* this node's home prefixes: its local_addresses are inside */
	uint32_t local_count;
	char **etcd; /* http://host:port, each; none: static members and configuration */
	uint32_t etcd_count;
	char *etcd_prefix;
	uint32_t lease_ttl_s;
};

struct slu_config {
	char node[SLU_NAME_BYTES];
	char *state_dir;
	char *api; /* path of the API's socket */
	uint32_t workers;
	uint64_t sessions; /* capacity of the session table */
	char **eal;        /* extra EAL arguments */
	uint32_t eal_count;
	struct slu_config_port *ports;
	uint32_t port_count;
	struct slu_ip *locals; /* FULLNAT source addresses, ranges expanded */
	uint32_t *local_items; /* [local_count]: which member of the list each came from */
	uint32_t local_count;
	struct slu_config_group *groups;
	uint32_t group_count;
	struct slu_config_listener *listeners;
	uint32_t listener_count;
	struct slu_config_outbound *snats, *eips;
	uint32_t snat_count, eip_count;
	struct slu_config_prefix *internal; /* key metering.internal */
	uint32_t internal_count;
	struct slu_config_cluster *cluster; /* NULL: this node is alone */
};

/*
 * Reads a whole document (YAML 1.1; JSON is a subset of it).
 *
 * Returns 0 and a configuration that the caller frees with slu_config_free();
 * -EINVAL with every error added to `errors` (which the caller has initialised),
 * and *config NULL.
 */
int slu_config_parse(const void *text, size_t bytes, struct slu_config **config, struct slu_errors *errors);

/* The same from a file. A file that cannot be read is an error in `errors` too: -EINVAL. */
int slu_config_load(const char *path, struct slu_config **config, struct slu_errors *errors);

/*
 * Reads a document of a whole cluster, which has nothing but `version`, `groups`,
 * `listeners`, `snat`, `eip` and `metering`, and makes the configuration of a node
 * from it: everything else is a copy of what `node` has. Returns as slu_config_parse().
 */
int slu_config_parse_shared(const struct slu_config *node, const void *text, size_t bytes, struct slu_config **config,
	struct slu_errors *errors);

/* NULL is allowed. */
void slu_config_free(struct slu_config *config);

/*
 * Adds one error for every setting that differs and cannot change while the
 * agent runs (ports, workers, sessions, state_dir, api, eal, node, cluster but for its members). Returns how many.
 */
size_t slu_config_restart_check(const struct slu_config *now, const struct slu_config *next, struct slu_errors *errors);

/*
 * The canonical document of a configuration, as JSON text that
 * slu_config_parse() reads back to an equal configuration. The caller frees it.
 * NULL when memory is out.
 */
char *slu_config_dump(const struct slu_config *config);

/* The same of what slu_config_parse_shared() reads. */
char *slu_config_dump_shared(const struct slu_config *config);

/* Lists of a document of a whole cluster, and their keys there. Of metering there is one part or none. */
enum slu_config_kind {
	SLU_CONFIG_GROUPS,
	SLU_CONFIG_LISTENERS,
	SLU_CONFIG_SNATS,
	SLU_CONFIG_EIPS,
	SLU_CONFIG_METERING,
	SLU_CONFIG_KINDS
};
extern const char *const slu_config_kinds[SLU_CONFIG_KINDS];

/* Its parts, each as canonical text: equal texts are equal parts on every node. The caller frees it; NULL as above. */
uint32_t slu_config_part_count(const struct slu_config *config, enum slu_config_kind kind);
char *slu_config_dump_part(const struct slu_config *config, enum slu_config_kind kind, uint32_t index);

#endif
