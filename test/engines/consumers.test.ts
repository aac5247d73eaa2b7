/** The consumers' matrix with one program of each kind; the engines have tests of their own, and `npm run test:consumers` has them all. */
process.env['STOWAGE_CONSUMERS'] ??= 'registry;own;forky'
await import('../consumers/matrix.test.js')
