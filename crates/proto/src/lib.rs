//! Protobuf and gRPC types of the StoreAPI and of remote write
