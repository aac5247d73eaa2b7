/** Registry hives made and read by hivex, a library that is not ours. Needs libwin-hivex-perl. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { emptyHive } from '../../fixtures/make/hive.js'
import { FULL, securityDescriptor, SIDS } from '../../fixtures/make/security.js'

export const LAYERS = { merge: 0, tombstone: 1, supersedeLocal: 2, supersedeTree: 3 } as const

export interface MadeValue {
  readonly type: number
  readonly data: Buffer
}

/** A key of a hive, by names. */
export interface MadeKey {
  readonly values?: Readonly<Record<string, MadeValue>>
  readonly keys?: Readonly<Record<string, MadeKey>>
  /** For a delta: how it combines with the key below, and the values that it deletes. */
  readonly layer?: keyof typeof LAYERS
  readonly deleted?: readonly string[]
}

const PERL = `
use strict; use warnings; use JSON::PP; use Win::Hivex;
my ($mode, $path) = @ARGV;
my $json = JSON::PP->new->canonical->max_depth(2000);
my @marks;
if ($mode eq 'make') {
  local $/; my $tree = $json->decode(<STDIN>);
  my $hive = Win::Hivex->open($path, write => 1);
  fill($hive, $hive->root, $tree); $hive->commit(undef); undef $hive;
  $hive = Win::Hivex->open($path);
  mark($hive, $hive->root, $tree); undef $hive;
  open(my $file, '+<:raw', $path) or die;
  for (@marks) { my ($at, $bytes) = @$_; seek($file, $at, 0); print $file $bytes; }
  close $file;
} else {
  my $hive = Win::Hivex->open($path);
  print $json->encode(dump_key($hive, $hive->root));
}
sub fill {
  my ($hive, $node, $key) = @_;
  my @values = map { { key => $_, t => $key->{values}{$_}{type}, value => pack('H*', $key->{values}{$_}{hex}) } } sort keys %{$key->{values} // {}};
  push @values, map { { key => $_, t => 0, value => '' } } @{$key->{deleted} // []};
  $hive->node_set_values($node, \\@values) if @values;
  for my $name (sort keys %{$key->{keys} // {}}) { fill($hive, $hive->node_add_child($node, $name), $key->{keys}{$name}); }
}
sub mark { # a handle is the offset of a cell, whose record begins 4 bytes on
  my ($hive, $node, $key) = @_;
  push @marks, [$node + 4 + 13, chr($key->{layer} // 0)] if $key->{layer};
  for (@{$key->{deleted} // []}) {
    my $value = $hive->node_get_value($node, $_);
    push @marks, [$value + 4 + 4, pack('VVV', 0, 0xffffffff, 0)], [$value + 4 + 16, pack('v', 3)];
  }
  mark($hive, $hive->node_get_child($node, $_), $key->{keys}{$_}) for sort keys %{$key->{keys} // {}};
}
sub dump_key {
  my ($hive, $node) = @_;
  my %key = (keys => {}, values => {});
  for ($hive->node_values($node)) {
    my ($type, $data) = $hive->value_value($_);
    $key{values}{$hive->value_key($_)} = { type => $type, hex => unpack('H*', $data) };
  }
  $key{keys}{$hive->node_name($_)} = dump_key($hive, $_) for $hive->node_children($node);
  return \\%key;
}`

/** Writes the hive to `path`. */
export function makeHive(path: string, key: MadeKey): string {
  writeFileSync(path, seed())
  perl(['make', path], JSON.stringify(packed(key)))
  return path
}

/** The hive as hivex reads it, with values in hex digits. */
export function readHive(path: string): unknown {
  return JSON.parse(perl(['dump', path], ''))
}

/** `key` as {@link readHive} gives it. */
export function plainHive({ values = {}, keys = {} }: MadeKey): unknown {
  return {
    values: Object.fromEntries(
      Object.entries(values).map(([name, { type, data }]) => [name, { type, hex: data.toString('hex') }]),
    ),
    keys: Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, plainHive(key)])),
  }
}

function packed({ layer, deleted, keys = {}, ...key }: MadeKey): unknown {
  const { values } = plainHive(key) as { values: unknown }
  const inside = Object.fromEntries(Object.entries(keys).map(([name, below]) => [name, packed(below)]))
  return { values, keys: inside, layer: LAYERS[layer ?? 'merge'], deleted: deleted ?? [] }
}

/** An empty hive whose root has a security descriptor, which hivex needs to add keys. */
function seed(): Buffer {
  const hive = emptyHive('made')
  const descriptor = securityDescriptor({
    owner: SIDS.administrators,
    group: SIDS.system,
    dacl: [{ sid: SIDS.system, mask: FULL }],
  })
  const offset = 32 + 88 // behind the root
  const [at, size] = [4096 + offset, Math.ceil((24 + descriptor.length) / 8) * 8]
  hive.writeInt32LE(-size, at)
  hive.write('sk', at + 4, 'latin1')
  for (const [field, value] of [
    [4, offset],
    [8, offset],
    [12, 1],
    [16, descriptor.length],
  ] as const)
    hive.writeUInt32LE(value, at + 4 + field)
  descriptor.copy(hive, at + 24)
  hive.writeInt32LE(4096 - offset - size, at + size)
  hive.writeUInt32LE(offset, 4096 + 32 + 4 + 44)
  return hive
}

function perl(args: readonly string[], input: string): string {
  return execFileSync('perl', ['-e', PERL, ...args], { input, encoding: 'utf8', maxBuffer: 1 << 28 })
}
