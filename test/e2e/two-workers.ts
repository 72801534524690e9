/** Imported first, it gives every agent of the tests two workers. */
process.env.WEFT_WORKERS = '2';
