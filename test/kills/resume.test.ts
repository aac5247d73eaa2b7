/** `npm run test:kills`: every form with every interruption, of which those in `test/faults/` have a part. */
process.env['STOWAGE_EVERY_EVENT'] = '1'
await import('../faults/resume.test.js')
await import('../faults/resume-others.test.js')
