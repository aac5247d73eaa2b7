/** The XML data of a WIM is read as wimlib reads it, and what is damaged is refused. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { WimXml } from '../../src/wim/wim-xml.js'
import { openWim } from '../../src/wim/wim-file.js'
import { directoryWim, wimlib } from '../support/wims.js'

const parse = (xml: string, count = 1): WimXml => new WimXml(Buffer.from(`\ufeff${xml}`, 'utf16le'), count, 'x.wim')

t.test('properties are found by their paths, the first or the nth', t => {
  const xml = parse(
    `<?xml version="1.0" encoding="UTF-16"?><!-- <a> --><WIM><TOTALBYTES>1</TOTALBYTES><IMAGE INDEX="2"><NAME>two</NAME></IMAGE>
     <IMAGE INDEX="1"><NAME>a &lt;b&gt; &#x1F4E6; <![CDATA[&]]></NAME><EMPTY a='1' b = "2" /><WINDOWS><LANGUAGES><LANGUAGE>en-US</LANGUAGE>
     <LANGUAGE>de-DE</LANGUAGE></LANGUAGES></WINDOWS></IMAGE></WIM>`,
    2,
  )
  t.equal(xml.property(1, 'NAME'), 'a <b> 📦 &')
  t.equal(xml.property(2, 'NAME'), 'two')
  t.equal(xml.property(1, 'WINDOWS/LANGUAGES/LANGUAGE'), 'en-US')
  t.equal(xml.property(1, 'WINDOWS/LANGUAGES/LANGUAGE[2]'), 'de-DE')
  for (const path of ['WINDOWS/LANGUAGES/LANGUAGE[3]', 'EMPTY', 'NONE', 'NAME/X', '', 'NAME[', '../NAME', 'NAME[0]'])
    t.equal(xml.property(1, path), undefined, path)
  t.equal(xml.property(3, 'NAME'), undefined)
  t.end()
})

t.test('XML data that is damaged, or not of these images, is refused', t => {
  const miscounted = /x\.wim: its XML data does not have one IMAGE element for each of its images/
  for (const [xml, message] of [
    ['<WIM><IMAGE INDEX="1"></WIM>', /^x\.wim: its XML data cannot be read: <\/WIM> ends no element at character 22$/],
    ['<WIM><IMAGE INDEX="1"/>', /<WIM> has no end at character 23$/],
    ['', /there is no element at/],
    ['<WIM/></WIM>', /<\/WIM> ends no element at/],
    ['<WIM/><WIM/>', /a second root element at character 6/],
    ['<WIM/>text', /text outside the root element/],
    ['<!DOCTYPE a [<!ENTITY b "c">]><WIM><IMAGE INDEX="1"><NAME>&b;</NAME></IMAGE></WIM>', /no markup at character 0$/],
    ['<WIM>&b;</WIM>', /&b; is not known at/],
    ['<WIM>a & b</WIM>', /& is not known at/],
    ['<WIM>&#0;</WIM>', /&#0; is not known at/],
    ['<WIM>&#x110000;</WIM>', /&#x110000; is not known at/],
    ['<WIM>&#xd800;</WIM>', /a character that XML does not allow/],
    ['<WIM><IMAGE INDEX="1"><NAME>\ud800</NAME></IMAGE></WIM>', /a character that XML does not allow/],
    ['<WIM><IMAGE INDEX=1/></WIM>', /no markup at character 5$/],
    ['<WIM><!-- </WIM>', /no markup at character 5$/],
    ['<WIM><![CDATA[ </WIM>', /no markup at character 5$/],
    ['<WIM/>', miscounted],
    ['<WIM><IMAGE INDEX="2"/></WIM>', miscounted],
    ['<WIM><IMAGE INDEX="1"/><IMAGE INDEX="1"/></WIM>', miscounted],
    ['<WIM><IMAGE INDEX="1"/><IMAGE/></WIM>', miscounted],
    ['<OTHER><IMAGE INDEX="1"/></OTHER>', miscounted],
  ] as const)
    t.throws(() => parse(xml), { code: 'WIM_CORRUPT', message, hint: /copy it again/ }, xml)
  t.end()
})

t.test('XML data with more elements than any WIM has is refused', t => {
  t.throws(() => parse(`<WIM${' x="1"'.repeat(1e6)}>`), { code: 'WIM_CORRUPT', message: /no markup at character 0/ })
  t.throws(() => parse('<a>'.repeat(2 ** 20 + 1)), {
    code: 'WIM_CORRUPT',
    message: /more than 1048576 elements at character/,
  })
  t.end()
})

t.test('what wimlib writes as a property is what is read', async t => {
  const path = directoryWim(t)
  wimlib('info', path, '1', '<a> & "b" ü 📦', 'line\nline', '--image-property=X/Y=1', '--image-property=X/Y[2]=second')
  await using wim = await openWim(path)
  t.match(wim.images(), [{ name: '<a> & "b" ü 📦', description: 'line\nline' }])
  t.equal(await wim.property(1, 'X/Y[2]'), 'second')
})

t.test('a WIM without XML data, or with other XML data, is not opened', async t => {
  const bytes = await readFile(directoryWim(t, { args: ['--compress=none'] }))
  const at = Number(bytes.readBigUInt64LE(0x50))
  const path = join(t.testdir(), 'x.wim')
  bytes.write('<wIM', at + 2, 'utf16le')
  await writeFile(path, bytes)
  await t.rejects(openWim(path), { code: 'WIM_CORRUPT', message: /x\.wim: its XML data/ })
  bytes.fill(0, 0x48, 0x60)
  await writeFile(path, bytes)
  await t.rejects(openWim(path), { code: 'WIM_CORRUPT', message: /x\.wim has no XML data/ })
})
