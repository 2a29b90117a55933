# Parameters of this build of the card: the one place that names them.
NIC_PORTS := 2
NIC_QUEUES_PER_PORT := 2
NIC_BUCKET_BITS := 17
NIC_FLOW_ID_BITS := 20
NIC_NEXT_HOP_BITS := 12
NIC_CLOCK_HZ := 322265625
