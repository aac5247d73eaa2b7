/** The code that `stowage wim capture` and `append` share: it adds an image to a WIM as the options say. */
import { basename } from 'node:path'
import { StowageError } from '../../errors.js'
import type { AddImageOptions, CaptureSource } from '../../wim/options.js'
import { parseSourceList } from '../../wim/source-list.js'
import { createWim, type WimFile } from '../../wim/wim-file.js'
import type { Session } from '../session.js'
import { chooseOneImage, openWimArchive, readTextFile, refuseSameFile } from './archive.js'
import type { CaptureValues } from './capture-options.js'
import { acls, ifSet, compressionRequest, defaultOutput, isVolume, rpfix, writeOptions } from './options.js'
import { watch } from './progress.js'
import { reportWritten, writeNewWim } from './output.js'
import { parseProperty, parseTemplate } from './values.js'

export interface CaptureJob {
  readonly source: string
  readonly path: string
  readonly name: string | undefined
  readonly description: string | undefined
}

export async function captureNewWim(job: CaptureJob, values: CaptureValues, session: Session): Promise<void> {
  if (values['unsafe-compact']) {
    throw new StowageError('INVALID_ARGUMENT', '--unsafe-compact is for an existing WIM: use append, not capture')
  }
  const request = compressionRequest(values)
  const bases = values['delta-from']
  await refuseSameFile(job.path, bases, 'a WIM of --delta-from')
  const output = defaultOutput(request, values.wimboot, 'lzx')
  const wim = await createWim({ compression: output.compression })
  await wim.setOutput(output)
  const options = { ...writeOptions(values), ...request.write }
  const image = await addImage(wim, job, job.name ?? imageName(job.source), values, session, async delta => {
    await writeNewWim(wim, job.path, { ...options, skipExternalWims: ifSet(delta) }, session)
  })
  reportWritten(wim, 'stowage.wim-capture/v1', job.path, [image], session)
}

export async function appendToWim(job: CaptureJob, values: CaptureValues, session: Session): Promise<void> {
  const {
    output: { compression, ...output },
    write,
  } = compressionRequest(values)
  await using wim = await openWimArchive(job.path, { check: values.check, writeAccess: true }, session)
  if (compression !== undefined && compression !== wim.info.compression) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${job.path} is compressed with ${wim.info.compression}, not ${compression}`,
      {
        hint: 'Omit --compress, or recompress the whole WIM: "stowage wim optimize --compress".',
      },
    )
  }
  await refuseSameFile(job.path, values['delta-from'], 'a WIM of --delta-from')
  await wim.setOutput(output)
  const name = job.name ?? (await unusedName(wim, imageName(job.source)))
  const image = await addImage(wim, job, name, values, session, async delta => {
    const options = { ...writeOptions(values), ...write, skipExternalWims: ifSet(delta) }
    await wim.overwrite({ ...options, ...watch(session, job.path) })
  })
  reportWritten(wim, 'stowage.wim-append/v1', job.path, [image], session)
}

/** Adds the image, and calls `write` while the WIM files that it references are open. */
async function addImage(
  wim: WimFile,
  job: CaptureJob,
  name: string,
  values: CaptureValues,
  session: Session,
  write: (delta: boolean) => Promise<void>,
): Promise<number> {
  const properties = [
    ...(values.flags === undefined ? [] : [{ name: 'FLAGS', value: values.flags }]),
    ...values['image-property'].map(parseProperty),
  ]
  const bases = values['delta-from']
  const wanted = values['update-of'] === undefined ? undefined : parseTemplate(values['update-of'])
  const templatePath = wanted?.path ?? (bases.length === 1 ? bases[0] : wim.path)
  if (wanted && templatePath === undefined) {
    throw new StowageError('INVALID_ARGUMENT', `--update-of=${wanted.image} does not name a WIM`, {
      hint: 'Write --update-of=WIMFILE:IMAGE, or give --delta-from once.',
    })
  }
  const [source, options] = [await sourceOf(job, values, session), await addOptions(job, values)]
  const opened: WimFile[] = []
  const open = async (path: string): Promise<WimFile> => {
    const other = await openWimArchive(path, { check: values.check }, session)
    opened.push(other)
    return other
  }
  try {
    for (const base of bases) await open(base)
    if (bases.length > 0) await wim.referenceResources(opened)
    const template =
      !wanted || templatePath === undefined
        ? undefined
        : templatePath === wim.path
          ? wim
          : (opened[bases.indexOf(templatePath)] ?? (await open(templatePath)))
    const templateImage = template && wanted ? await imageFromEnd(template, wanted.image) : 0
    const image = await wim.addImage(source, {
      ...options,
      name,
      ...watch(session, job.source, { verbose: values.verbose }),
    })
    if (job.description !== undefined) await wim.setDescription(image, job.description)
    for (const property of properties) await wim.setProperty(image, property.name, property.value)
    if (template) await wim.referenceTemplate(image, template, templateImage)
    await write(bases.length > 0)
    return image
  } finally {
    for (const other of opened) await other[Symbol.asyncDispose]()
  }
}

async function sourceOf(
  { source }: CaptureJob,
  values: CaptureValues,
  { signal }: Session,
): Promise<string | readonly CaptureSource[]> {
  if (!values['source-list']) return source
  return parseSourceList(await readTextFile(source, signal), source === '-' ? 'stdin' : source)
}

async function addOptions({ source }: CaptureJob, values: CaptureValues): Promise<AddImageOptions> {
  return {
    ntfs: values['source-list'] ? undefined : await isVolume(source),
    boot: ifSet(values.boot),
    dereference: ifSet(values.dereference),
    unixData: ifSet(values['unix-data']),
    acls: acls(values),
    rpfix: rpfix(values),
    verbose: ifSet(values.verbose),
    excludeVerbose: true,
    config: values.config,
    winconfig: values.config === undefined ? true : undefined,
    wimboot: ifSet(values.wimboot),
    snapshot: ifSet(values.snapshot),
  }
}

/** As in wimlib-imagex, the last component of the path as it was given. */
function imageName(source: string): string {
  return basename(source)
}

async function unusedName(wim: WimFile, name: string): Promise<string> {
  for (let n = 1, unused = name; ; unused = `${name} (${n})`, n += 1) {
    if (!(await wim.imageNameInUse(unused))) return unused
  }
}

/** The number of an image; -1 is the last one, -2 the one before. */
async function imageFromEnd(wim: WimFile, selector: string): Promise<number> {
  const { imageCount } = wim.info
  const back = /^-\d+$/.test(selector) ? -Number(selector) : 0
  return chooseOneImage(wim, back >= 1 && back <= imageCount ? String(imageCount + 1 - back) : selector)
}
