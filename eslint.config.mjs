/**
 * The rules that `npm run lint` enforces. typescript-eslint rather than Biome: a forgotten promise and an unhandled
 * case of a union are found by the compiler's own types, across files. Layout is Prettier's.
 */
import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

/** tap waits for its own subtests. */
const SUBTEST = { from: 'package', package: '@tapjs/core', name: 'PromiseWithSubtest' }

export default defineConfig(
  globalIgnores(['node_modules', 'build', 'dist', 'prebuilds', 'quickstart', '.tap', '.bench']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafePromises: [SUBTEST] }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // An interface may promise what one implementation knows at once.
      '@typescript-eslint/require-await': 'off',
      // Names and texts from outside are searched for control characters.
      'no-control-regex': 'off',
    },
  },
  {
    files: ['test/**/*.ts', 'fixtures/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // A test may fail by a TypeError, and looks into documents of any shape.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-explicit-any': 'off',
      // t.pass and its like are handed over as callbacks.
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', Buffer: 'readonly', setTimeout: 'readonly', performance: 'readonly', URL: 'readonly', fetch: 'readonly' } },
  },
)
