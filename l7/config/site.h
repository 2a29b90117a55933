/*
 * What a proxy serves: listeners, rules and groups of servers, as one document
 * says it. Read-only once loaded; a request holds the site that it began under,
 * so a reload touches no live request.
 */
#ifndef SLU_L7_SITE_H
#define SLU_L7_SITE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SLU_SITE_NAME_BYTES 64

struct slu_site_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t bytes;
	char text[56]; /* "192.0.2.1:80", "[2001:db8::1]:80" */
};

struct slu_site_server {
	struct slu_site_address address;
	uint32_t weight; /* 0: no new requests */
};

enum slu_site_scheduler { SLU_SITE_WRR, SLU_SITE_WLC, SLU_SITE_HASH };
enum slu_site_hash_key { SLU_SITE_HASH_SOURCE, SLU_SITE_HASH_PATH, SLU_SITE_HASH_HEADER, SLU_SITE_HASH_COOKIE };
enum slu_site_sticky { SLU_SITE_STICKY_NONE, SLU_SITE_STICKY_INSERT };

struct slu_site_group {
	char name[SLU_SITE_NAME_BYTES];
	int scheduler; /* enum slu_site_scheduler */
	int hash_key;  /* enum slu_site_hash_key */
	char *hash_name;
	int sticky; /* enum slu_site_sticky */
	char *cookie;
	struct slu_site_server *servers;
	uint32_t server_count;
	uint32_t connect_ms, response_ms, idle_ms; /* response: between two reads of one */
	uint32_t retries;                          /* further servers that are tried */
	uint32_t pool_max;                         /* idle connections a server and worker */
	uint32_t slow_start_ms;
	uint32_t outlier_failures; /* in a row that eject a server; 0: never */
	uint32_t outlier_ms;
};

enum slu_site_match { SLU_SITE_MATCH_HEADER, SLU_SITE_MATCH_QUERY, SLU_SITE_MATCH_COOKIE };

/* A named thing of the request: there, or with this value. */
struct slu_site_condition {
	int kind;           /* enum slu_site_match */
	char *name, *value; /* value NULL: any */
};

struct slu_site_source {
	uint8_t family, bits;
	uint8_t bytes[16];
};

enum slu_site_action { SLU_SITE_FORWARD, SLU_SITE_REDIRECT, SLU_SITE_FIXED };

struct slu_site_rule {
	char *host;     /* NULL: any; "*.example.com": one or more labels before */
	char *path;     /* NULL: any */
	bool exact;     /* path: whole; else a prefix that ends at a '/' */
	char **methods; /* none: any */
	uint32_t method_count;
	struct slu_site_condition *conditions;
	uint32_t condition_count;
	struct slu_site_source *sources;
	uint32_t source_count;
	int action;     /* enum slu_site_action */
	uint32_t group; /* index, of group_name */
	char *group_name;
	uint32_t order, line, column;        /* in the document */
	uint32_t status;                     /* redirect, fixed */
	char *to_scheme, *to_host, *to_path; /* redirect; NULL: as it was */
	char *content_type, *body;           /* fixed */
	char *rewrite;                       /* replaces the matched path; NULL: none */
};

struct slu_site_listener {
	char name[SLU_SITE_NAME_BYTES];
	struct slu_site_address address;
	bool tls; /* no document says so yet */
	uint32_t idle_ms, head_ms,
		body_ms;    /* of the client: between requests, for a head, between two reads of a body */
	uint32_t tunnel_ms; /* of silence in both directions */
	uint32_t head_bytes_max, target_bytes_max;
	uint64_t body_bytes_max;
	uint32_t requests_max;       /* on one connection */
	struct slu_site_rule *rules; /* in the order of their precedence; the last one matches all, or none does */
	uint32_t rule_count;
};

struct slu_site {
	uint32_t refs;
	uint32_t workers;
	uint32_t connections_max; /* a worker */
	char *admin;              /* path of the socket for metrics; NULL: none */
	char *access_log;         /* path; NULL: none */
	char *log_format;         /* NULL: JSON */
	struct slu_site_listener *listeners;
	uint32_t listener_count;
	struct slu_site_group *groups;
	uint32_t group_count;
};

static inline struct slu_site *slu_site_hold(struct slu_site *site)
{
	site->refs++;
	return site;
}

/* One holder less; the last one frees. */
void slu_site_drop(struct slu_site *site);

/* Reads "ADDRESS" and a port into an address with its text. Returns 0 or -EINVAL. */
int slu_site_address(struct slu_site_address *address, const char *host, uint16_t port);

#endif
