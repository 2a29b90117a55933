/*
 * Two rtnetlink sockets: one subscribed to changes of links, routes and
 * neighbours, one for requests and dumps, so that answers never mix with
 * events. Control thread only.
 */
#ifndef SLU_HOST_NETLINK_H
#define SLU_HOST_NETLINK_H

#include <linux/netlink.h>
#include <stdint.h>

struct mnl_socket;

struct slu_netlink {
	struct mnl_socket *events;
	struct mnl_socket *requests;
	uint32_t sequence;
	uint8_t *buffer;
};

/* Called for each message; its bytes are not retained. */
typedef void slu_netlink_message(void *context, const struct nlmsghdr *message);

/* Returns 0 or -errno; on failure nothing is open. */
int slu_netlink_open(struct slu_netlink *netlink);

/* Without the socket of events: for who only writes and dumps. */
int slu_netlink_open_requests(struct slu_netlink *netlink);
void slu_netlink_close(struct slu_netlink *netlink);

/* Descriptor that becomes readable when events wait. */
int slu_netlink_event_fd(const struct slu_netlink *netlink);

/*
 * Delivers waiting events, a bounded number. Returns 1 when more may wait, 0
 * when none, -ENOBUFS when events were lost (the caller dumps everything
 * again), or another -errno.
 */
int slu_netlink_read_events(struct slu_netlink *netlink, slu_netlink_message *each, void *context);

/* Dumps all objects of `type` (RTM_GET*) and family; repeats when the kernel says that the dump was interrupted. */
int slu_netlink_dump(struct slu_netlink *netlink, uint16_t type, uint8_t family, slu_netlink_message *each,
	void (*restart)(void *context), void *context);

/*
 * The same for the routes of one table and both families. Kernels that cannot filter deliver those of other tables
 * too; a table that does not exist is empty.
 */
int slu_netlink_dump_table(struct slu_netlink *netlink, uint32_t table, slu_netlink_message *each,
	void (*restart)(void *context), void *context);

/* Sends one request that mnl built in `message` and waits for its acknowledgement: 0 or the kernel's -errno. */
int slu_netlink_request(struct slu_netlink *netlink, struct nlmsghdr *message);

#endif
