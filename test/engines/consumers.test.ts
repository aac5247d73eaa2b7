/** The consumers' matrix with one program of each kind; `npm run test:consumers` has them all. */
process.env['STOWAGE_CONSUMERS'] ??= 'registry;own;Docker 28, containerd store;forky'
await import('../consumers/matrix.test.js')
