/** The JSON Schema of `images.yaml`, for completion and checks in editors. */
import { COMPRESSION_PATTERN } from '../layer/compression.js'

/** To YAML, 1.27 is a number, but here it is read as text. */
const textual = { type: ['string', 'number'], minLength: 1 } as const
const text = (description: string) => ({ ...textual, description }) as const
const list = (items: object, description: string) => ({ type: 'array', minItems: 1, items, description }) as const
const object = (properties: object, required: readonly string[], description: string) =>
  ({ type: 'object', additionalProperties: false, required, properties, description }) as const

const platforms = {
  description: 'Only these platforms, os[/arch[/variant]][:os.version], or all',
  oneOf: [
    { const: 'all' },
    list(
      { type: 'string', pattern: '^[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9.]+)?)?(:[0-9.]+)?$' },
      'os[/arch[/variant]][:os.version]',
    ),
  ],
}
const referrers = { type: 'boolean', description: 'Include signatures, SBOMs and attestations of the image' }
const name = text('Name in the bundle; without a tag, it takes the tag of the image')
const names = list(name, 'Names in the bundle')
const registry = {
  ...text('HOST[:PORT]'),
  pattern: '^(\\[[0-9a-fA-F:]+\\]|[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?)(:[0-9]{1,5})?$',
}
/** JSON Schema 2020-12. A test checks that it allows what {@link parseImagesFile} accepts. */
export const imagesFileSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'images.yaml of Stowage',
  ...object(
    {
      version: { const: 1, description: 'Version of the format' },
      defaults: object(
        {
          platforms,
          insecure: list(registry, 'Registries to reach over plain http'),
          tlsSkipVerify: list(registry, 'Registries whose certificates are accepted without verification'),
          referrers,
        },
        [],
        'Defaults for all images',
      ),
      images: list(
        {
          oneOf: [
            text('An image: a name, or a location such as oci:DIR[:REF]'),
            object(
              {
                image: text('A name, or a location such as oci:DIR[:REF]; with tags, a repository'),
                tags: {
                  description: 'Tags of the repository: a list, or a rule',
                  oneOf: [
                    list(textual, 'Tags'),
                    {
                      ...object(
                        {
                          semver: {
                            ...textual,
                            description: 'A range of versions in npm syntax: ">=1.27 <2", "~1.27", "10.0.20348.x"',
                          },
                          match: text(
                            'A JavaScript regular expression that matches anywhere in the tag; a group named version marks the version',
                          ),
                          newest: {
                            description: 'Only this many of the newest versions',
                            oneOf: [{ const: 'all' }, { type: 'integer', minimum: 1 }],
                          },
                        },
                        [],
                        'A rule that selects tags',
                      ),
                      minProperties: 1,
                    },
                  ],
                },
                platforms,
                name,
                names,
                referrers,
              },
              ['image'],
              'An image',
            ),
          ],
        },
        'Images',
      ),
      wims: list(
        {
          oneOf: [
            text('The path of a WIM'),
            object(
              {
                file: text('The path of a WIM'),
                image: { ...textual, description: 'Number or name of the image in the WIM' },
                name,
                names,
                carry: { enum: [true, false, 'only'], description: 'Pack the WIM as a file too, or only as a file' },
                compression: { type: 'string', pattern: COMPRESSION_PATTERN, description: 'Compression of the layer' },
                order: { enum: ['blob', 'tree'], description: 'Order of the files in the layer' },
                lossless: {
                  type: 'boolean',
                  description: 'Keep what a Windows layer cannot express in PAX records that Windows ignores',
                },
                skipUnsupported: {
                  type: 'boolean',
                  description: 'Skip what a layer cannot hold, instead of failing',
                },
                references: list(text('A path or a pattern'), 'Other WIM files with blobs of a delta WIM'),
              },
              ['file'],
              'A WIM',
            ),
          ],
        },
        'WIMs, each made into an image',
      ),
      files: list(
        {
          oneOf: [
            text('The path of a file or a directory'),
            object(
              { from: text('The path of a file or a directory'), to: text('Path below files/ in the bundle') },
              ['from'],
              'A file',
            ),
          ],
        },
        'Additional files for the bundle',
      ),
    },
    ['version'],
    'Images, WIMs and files for one bundle',
  ),
} as const
