//! Store gateway: the StoreAPI over the blocks of a bucket
