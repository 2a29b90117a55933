/* Macros of <sys/queue.h> and <bpf/bpf_helpers.h> that cppcheck, which reads no system header, needs to know. */
#define SEC(name)
#define STAILQ_HEAD(name, type)                                                                                        \
	struct name {                                                                                                  \
		struct type *stqh_first, **stqh_last;                                                                  \
	}
#define LIST_HEAD(name, type)                                                                                          \
	struct name {                                                                                                  \
		struct type *lh_first;                                                                                 \
	}
#define LIST_ENTRY(type)                                                                                               \
	struct {                                                                                                       \
		struct type *le_next, **le_prev;                                                                       \
	}
